"""``stackup stop``: containers end, in reverse order of their dependencies, and keep what they wrote."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.session import Session
from stackup.cli.verbs.common import change, services, timeout


@dataclass(frozen=True)
class Request:
    """Stop containers without removing them."""

    services: tuple[str, ...] = services()
    timeout: int | None = timeout()


def run(session: Session, request: Request) -> int:
    return change(session, "stop", request, missing="nothing to stop")
