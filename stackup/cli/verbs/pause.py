"""``stackup pause``: running containers stand still where they are, with all they hold in memory."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.session import Session
from stackup.cli.verbs.common import change, services


@dataclass(frozen=True)
class Request:
    """Pause containers: their processes stand still, with all they hold in memory."""

    services: tuple[str, ...] = services()


def run(session: Session, request: Request) -> int:
    return change(session, "pause", request, missing="no containers to pause")
