"""``stackup plan``: what ``up`` would do, and why. Never does anything."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from stackup.base.errors import Bug, HostUnfit, StackupError
from stackup.cli import resolve
from stackup.cli.asking import grouped
from stackup.cli.client import Event
from stackup.cli.options import switch, value, values
from stackup.cli.progress import progress
from stackup.cli.session import Session
from stackup.cli.verbs.common import POLICIES, services, timeout
from stackup.cli.verbs.up import scale_of

CHANGES = 2  # exit code when there is something to do, so that scripts can ask


@dataclass(frozen=True)
class Request:
    """Show what `up` would do, and why. Ends with 2 when there is something to do or to answer, else with 0."""

    services: tuple[str, ...] = services("Services, with what they depend on (default: all).")
    format: str = value("--format", help="Output format.", default="text", choices=("text", "json"))
    build: bool = switch("--build", help="As for up.")
    no_build: bool = switch("--no-build", help="As for up.")
    pull: str = value("--pull", help="As for up.", default="", metavar="POLICY", choices=POLICIES)
    force_recreate: bool = switch("--force-recreate", help="As for up.")
    no_recreate: bool = switch("--no-recreate", help="As for up.")
    always_recreate_deps: bool = switch("--always-recreate-deps", help="As for up.")
    renew_anon_volumes: bool = switch("-V", "--renew-anon-volumes", help="As for up.")
    no_deps: bool = switch("--no-deps", help="As for up.")
    remove_orphans: bool = switch("--remove-orphans", help="As for up.")
    timeout: int | None = timeout()
    scale: tuple[str, ...] = values("--scale", help="As for up.", metavar="SERVICE=NUM", check=scale_of)
    wait: bool = switch("--wait", help="As for up.")
    out: str = value("--out", help="Save it too, for `stackup apply`.", default="", metavar="FILE")
    yes: bool = switch("-y", "--yes", help="As if every question were answered with yes.")


def run(session: Session, request: Request) -> int:
    args = {**vars(request), "scale": dict(scale_of(item) for item in request.scale)}
    plan = fetch(session, "up", {key: item for key, item in args.items() if key not in ("format", "out")})
    if request.out:
        _save(plan, request.out)
    _print(session, plan, as_json=request.format == "json")
    return CHANGES if plan["actions"] or plan["questions"] else 0


def _save(plan: Event, path: str) -> None:
    """Readable for its owner only: it tells what was changed in the stack file."""
    from stackup.base.files import write_atomic

    try:
        write_atomic(os.path.abspath(path), _json(plan) + "\n", mode=0o600)
    except OSError as error:
        raise HostUnfit(f"cannot save the plan to {path}: {error.strerror}") from error


def show(session: Session, verb: str, args: dict[str, Any]) -> int:
    """``--dry-run`` of a verb. Ends with 2 where it would have to ask first."""
    plan = fetch(session, verb, args)
    _print(session, plan, as_json=False)
    return CHANGES if plan["questions"] else 0


def fetch(session: Session, verb: str, args: dict[str, Any]) -> Event:
    """The plan that ``verb`` would carry out. Raises the error that came instead.

    Where no supervisor runs none is started: the plan is made here, and nothing is touched.
    """
    session.looks_only = True
    args = {**args, "asks": True}  # whoever reads the plan is asked by it
    where = {"verb": verb, "args": args, "files": session.files(), "cwd": session.cwd}
    client = session.connect()
    if client is None:
        return _made_here(session, verb, args, where)
    shown = progress(session.console, "plan")
    plan: Event | None = None
    errors: list[StackupError] = []
    try:
        shown.begin(f"project {session.project}  working", at_once=False)
        for event in client.request("plan", {**args, "verb": verb, "request": where}, files=session.files()):
            match event["event"]:
                case "plan":
                    plan = event
                case "notice":
                    with shown.beside():
                        session.console.warn(event["text"])
                case "error":
                    errors.append(StackupError.from_dict(event["error"]))
    finally:
        shown.finish()
        client.close()
    for error in grouped(errors):
        raise error
    if plan is None:
        raise Bug(f"cannot plan {verb}: the supervisor sent no plan")
    return plan


def _made_here(session: Session, verb: str, args: dict[str, Any], where: dict[str, Any]) -> Event:
    from stackup.engine.foresight import plan_offline  # the whole of it: YAML, models, rules
    from stackup.planner import Verb

    if verb == "rollback":
        verb, args = "up", {**args, "rollback": True}
    return plan_offline(session.layout, session.project, Verb(verb), args, resolve.load_request(session), where)


def _json(plan: Event) -> str:
    return json.dumps({key: item for key, item in plan.items() if key != "event"}, indent=2)


def _print(session: Session, plan: Event, *, as_json: bool) -> None:
    console = session.console
    if as_json:
        console.print(_json(plan))
        return
    from stackup.cli.plantext import text
    from stackup.cli.terminal import size

    width = size(console.out.fileno())[0] if console.out.isatty() else 0
    console.out.write(text(plan, colour=console.colour_out, width=width))
