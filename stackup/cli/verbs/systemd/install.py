"""``stackup systemd install``: the project starts with the machine, and is stopped in order with it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackup.base.errors import UsageError
from stackup.cli.options import switch
from stackup.cli.session import Session

if TYPE_CHECKING:
    from stackup.cli.units import Unit
    from stackup.stackfile import Loaded

GRACE = 10  # seconds, where a service says nothing
SPARE = 60  # for everything that is not waiting for a service


@dataclass(frozen=True)
class Request:
    """Make and enable a systemd unit, so that the project starts with the machine: services with restart: always or
    unless-stopped, but for those that were stopped."""

    now: bool = switch("--now", help="Start it now, too.")
    print_only: bool = switch("--print", help="Print the unit, and do nothing.")


def run(session: Session, request: Request) -> int:
    from stackup.cli.units import Systemctl, write

    if session.stdin is not None:
        raise UsageError(
            "cannot install a unit for a stack file from standard input", hint="give it as a file: -f PATH"
        )
    systemctl = Systemctl()
    if not request.print_only:
        systemctl.require("install a unit")
    loaded = session.load()
    unit = unit_of(session, loaded)
    if request.print_only:
        session.console.out.write(unit.text())
        return 0
    _warn(session, loaded)
    changed = write(unit)
    systemctl.run("daemon-reload")
    systemctl.run("enable", *(["--now"] if request.now else []), unit.name)
    session.console.print(f"{unit.path} {'written' if changed else 'is as it should be'}, and enabled")
    if not request.now and systemctl.show(unit.name, "ActiveState") != "active":
        session.console.say(f"it starts at the next boot; now: systemctl start {unit.name}")
    return 0


def unit_of(session: Session, loaded: Loaded) -> Unit:
    from stackup.cli.units import Unit, program

    options = session.options
    words = ["-p", loaded.stack.name]
    for flag, paths in (("-f", options.file), ("--env-file", options.env_file)):
        words += [word for path in paths for word in (flag, os.path.join(session.cwd, path))]
    if options.project_directory:
        words += ["--project-directory", os.path.join(session.cwd, options.project_directory)]
    words += [word for name in options.profile for word in ("--profile", name)]
    started_as = program(sys.argv[0], sys.executable, safe_path=bool(sys.flags.safe_path))
    kept = {"STACKUP_ROOT", "PYTHONPATH"} if len(started_as) > 1 else {"STACKUP_ROOT"}
    by_flag = {"COMPOSE_PROJECT_NAME", "COMPOSE_ANSI", "COMPOSE_PROGRESS"}
    environment = tuple(
        (name, value)
        for name, value in sorted(session.environment.items())
        if name in kept or (name.startswith("COMPOSE_") and name not in by_flag)
    )
    graces = (service.stop_grace_period for service in loaded.stack.services.values())
    return Unit(
        project=loaded.stack.name,
        program=started_as,
        options=tuple(words),
        directory=session.cwd,
        environment=environment,
        places=tuple(dict.fromkeys((session.cwd, str(loaded.directory), str(session.layout.state)))),
        stop_seconds=SPARE + int(sum(GRACE if grace is None else grace for grace in graces)),
    )


def _warn(session: Session, loaded: Loaded) -> None:
    """At boot there is no shell whose variables a stack file could use."""
    taken = sorted(
        name
        for name, value in loaded.variables.items()
        if value is not None and name in session.environment and not name.startswith("COMPOSE_")
    )
    if taken:
        session.console.warn(
            f"the stack file uses {', '.join(taken)} of your environment, which is not there at boot; "
            f"what is needed belongs into {loaded.directory / '.env'}"
        )
