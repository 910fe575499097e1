"""``stackup systemd start``: what the unit runs at boot."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stackup.cli.session import Session
from stackup.cli.verbs import up


@dataclass(frozen=True)
class Request:
    """Start what was up before the machine went down, as the unit does: services with restart: always or
    unless-stopped, but for those that were stopped; everything, where the project has no containers."""


def run(session: Session, request: Request) -> int:
    from stackup.engine import boot
    from stackup.engine.inventory import read_project

    project = session.project
    note = boot.read_note(session.layout, project)
    services = boot.returning(session.load().stack, read_project(session.layout, project).containers, note)
    code = 0
    if services is None or services:
        code = up.run(session, replace(up.Request(detach=True), services=services or ()))
    else:
        session.console.say(
            f"nothing of project {project} is to be started: no service restarts always, or all were stopped"
        )
    if code == 0:
        boot.drop_note(session.layout, project)
    return code
