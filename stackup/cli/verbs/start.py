"""``stackup start``: containers that exist run again; none is created."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.options import switch, value
from stackup.cli.session import Session
from stackup.cli.verbs.common import change, services


@dataclass(frozen=True)
class Request:
    """Start containers that exist."""

    services: tuple[str, ...] = services()
    now: bool = switch("--now", help="Run what has a schedule before its time; it goes on by its schedule.")
    wait: bool = switch("--wait", help="Wait until services are running or healthy.")
    wait_timeout: float | None = value("--wait-timeout", help="Give up after this long.", kind=float, metavar="SECONDS")


def run(session: Session, request: Request) -> int:
    return change(session, "start", request, missing="no containers to start")
