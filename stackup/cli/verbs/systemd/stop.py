"""``stackup systemd stop``: what the unit runs at shutdown."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.session import Session
from stackup.cli.verbs import stop


@dataclass(frozen=True)
class Request:
    """Stop the project as the unit does: what runs comes back with ``systemd start``, what was stopped does not."""


def run(session: Session, request: Request) -> int:
    from stackup.engine import boot
    from stackup.engine.inventory import read_project

    boot.write_note(session.layout, session.project, read_project(session.layout, session.project).containers)
    return stop.run(session, stop.Request())
