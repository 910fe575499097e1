"""``stackup unpause``: paused containers go on."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.session import Session
from stackup.cli.verbs.common import change, services


@dataclass(frozen=True)
class Request:
    """Let paused containers go on."""

    services: tuple[str, ...] = services()


def run(session: Session, request: Request) -> int:
    return change(session, "unpause", request, missing="no containers to unpause")
