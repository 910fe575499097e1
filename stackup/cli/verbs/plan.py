"""``stackup plan``: what ``up`` would do, and why. Never does anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from stackup.base.errors import Bug, StackupError
from stackup.cli.asking import grouped
from stackup.cli.client import Client, Event
from stackup.cli.options import switch, value, values
from stackup.cli.progress import opening, progress
from stackup.cli.session import Session
from stackup.cli.verbs.common import POLICIES, services, timeout
from stackup.cli.verbs.up import scale_of

CHANGES = 2  # exit code when there is something to do, so that scripts can ask


@dataclass(frozen=True)
class Request:
    """Show what `up` would do, and why. Ends with 2 when there is something to do, with 0 when there is not."""

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


def run(session: Session, request: Request) -> int:
    args = {**vars(request), "scale": dict(scale_of(item) for item in request.scale)}
    plan = fetch(session, "up", args)
    _print(session, plan, as_json=request.format == "json")
    return CHANGES if plan["actions"] else 0


def show(session: Session, verb: str, args: dict[str, Any]) -> int:
    """``--dry-run`` of a verb."""
    _print(session, fetch(session, verb, args), as_json=False)
    return 0


def fetch(session: Session, verb: str, args: dict[str, Any]) -> Event:
    """The plan that ``verb`` would carry out. Raises the error that came instead."""
    shown = progress(session.console, "plan")
    client: Client | None = None
    plan: Event | None = None
    errors: list[StackupError] = []
    try:
        client = opening(shown, session)
        for event in client.request("plan", {**args, "verb": verb}, files=session.files()):
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
        if client is not None:
            client.close()
    for error in grouped(errors):
        raise error
    if plan is None:
        raise Bug(f"cannot plan {verb}: the supervisor sent no plan")
    return plan


def _print(session: Session, plan: Event, *, as_json: bool) -> None:
    console = session.console
    if as_json:
        console.print(json.dumps({key: item for key, item in plan.items() if key != "event"}, indent=2))
        return
    from stackup.cli.plantext import text

    console.out.write(text(plan, colour=console.colour_out))
