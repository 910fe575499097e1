"""``stackup restart``: stop and start again, as the containers are; a changed file is ``up``'s business."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.options import switch
from stackup.cli.session import Session
from stackup.cli.verbs.common import change, services, timeout


@dataclass(frozen=True)
class Request:
    """Restart containers."""

    services: tuple[str, ...] = services()
    timeout: int | None = timeout()
    no_deps: bool = switch("--no-deps", help="Do not restart services that depend on these with restart: true.")


def run(session: Session, request: Request) -> int:
    return change(session, "restart", request, missing="no containers to restart")
