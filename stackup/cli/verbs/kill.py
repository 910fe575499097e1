"""``stackup kill``: a signal to each container's first process."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.options import switch, value
from stackup.cli.session import Session
from stackup.cli.verbs.common import change, services


@dataclass(frozen=True)
class Request:
    """Send a signal to containers; SIGKILL unless told otherwise."""

    services: tuple[str, ...] = services()
    signal: str = value("-s", "--signal", help="Signal, by name or number.", default="SIGKILL", metavar="SIGNAL")
    remove_orphans: bool = switch("--remove-orphans", help="Include services that the file has no more.")


def run(session: Session, request: Request) -> int:
    return change(session, "kill", request, missing="no containers to kill")
