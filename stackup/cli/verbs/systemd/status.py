"""``stackup systemd status``: whether the project starts with the machine."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.session import Session


@dataclass(frozen=True)
class Request:
    """Say whether the project has a systemd unit, and how that is; ends with 3 where it has none."""


NO_UNIT = 3  # as systemctl status for a unit that is not active


def run(session: Session, request: Request) -> int:
    from stackup.cli.units import DIRECTORY, Systemctl

    name = f"stackup-{session.project}.service"
    if not (DIRECTORY / name).exists():
        session.console.print(f"project {session.project} has no unit; make one: stackup systemd install")
        return NO_UNIT
    systemctl = Systemctl()
    systemctl.require("look at a unit")
    enabled, active = systemctl.show(name, "UnitFileState"), systemctl.show(name, "ActiveState")
    result = systemctl.show(name, "Result")
    session.console.print(f"{DIRECTORY / name}: {enabled or 'unknown'}, {active or 'unknown'}")
    if active == "failed":
        session.console.say(f"it failed ({result}); see: journalctl -u {name} -b")
    return 0
