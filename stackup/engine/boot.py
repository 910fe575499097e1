"""What comes back when the machine starts: services with ``restart: always`` or ``unless-stopped``, but for those that
somebody had stopped.

At shutdown everything is stopped, which must not look as if the user had wanted it. So before that, a note is left of
what was up; it counts for a container until that is started again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from stackup.base.files import write_atomic
from stackup.base.paths import Layout
from stackup.engine.records import ContainerRecord
from stackup.engine.watchrules import restart_policy
from stackup.model.stack import Stack

UP = ("starting", "running", "paused", "restarting")


def note_path(layout: Layout, project: str) -> Path:
    return layout.project(project).state / "resume.json"


def write_note(layout: Layout, project: str, containers: Iterable[ContainerRecord]) -> None:
    """To be called before they are stopped. What an earlier note says of others stays."""
    path = note_path(layout, project)
    if path.parent.is_dir():
        noted = {item.definition.id: item.state.incarnation for item in containers if item.state.phase in UP}
        write_atomic(path, json.dumps({**read_note(layout, project), **noted}), durable=True)


def read_note(layout: Layout, project: str) -> dict[str, int]:
    """Container id -> incarnation that was up. Empty where there is none."""
    try:
        found = json.loads(note_path(layout, project).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def drop_note(layout: Layout, project: str) -> None:
    note_path(layout, project).unlink(missing_ok=True)


def returning(stack: Stack, containers: Iterable[ContainerRecord], note: Mapping[str, int]) -> tuple[str, ...] | None:
    """The services to be started, with what they depend on; None for all, where the project has no containers yet."""
    mine = [item for item in containers if not item.definition.parent]
    if not mine:
        return None
    wanted = {item.definition.service for item in mine if not _stopped(item, note)}
    known = {item.definition.service for item in mine}
    return tuple(
        name
        for name, service in stack.services.items()
        if (name in wanted or name not in known)
        and (restart_policy(service).condition in ("always", "unless-stopped") or service.stackup.schedule is not None)
    )


def _stopped(item: ContainerRecord, note: Mapping[str, int]) -> bool:
    return item.state.stopped_by_user and note.get(item.definition.id) != item.state.incarnation
