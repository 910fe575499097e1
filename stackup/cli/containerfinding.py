"""The one container that ``export``, ``commit`` and ``inspect`` mean: by service of the project, or by name or id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackup.base.errors import NotFound, StackupError, UsageError
from stackup.base.names import LABEL_PREFIX

if TYPE_CHECKING:
    from stackup.cli.session import Session
    from stackup.engine.records import ContainerRecord, Definition
    from stackup.linux.overlay import Overlay

_FEWEST_DIGITS = 4


def container(session: Session, verb: str, name: str, index: int = 0) -> ContainerRecord:
    """``index``: which container of a service, 0 for the first. Raises NotFound; UsageError where several are meant."""
    from stackup.engine.inventory import Inventory

    try:
        project = session.project
    except StackupError:  # not in a project's directory: then it is a container's name
        project = ""
    every = [(item.name, record) for item in Inventory(session.layout).projects for record in item.containers]
    records = [record for _, record in every if not record.definition.parent]
    own = [record for owner, record in every if owner == project and record.definition.service == name]
    own = [record for record in own if index in (0, record.definition.number) and not record.definition.parent]
    named = [record for record in records if name in (record.definition.name, record.definition.id)]
    digits = [record for record in records if len(name) >= _FEWEST_DIGITS and record.definition.id.startswith(name)]
    for found in (sorted(own, key=lambda record: record.definition.number)[:1], named, digits):
        if len(found) == 1:
            return found[0]
    if len(digits) > 1:
        raise UsageError(f"cannot {verb} {name}: several containers have an id that begins so")
    known = ", ".join(sorted(record.definition.name for record in records)[:8]) or "none"
    raise NotFound(f"cannot {verb} {name}: there is no such service or container", hint=f"containers: {known}")


def project_of(record: ContainerRecord) -> str:
    return str(record.definition.labels[f"{LABEL_PREFIX}.project"])


def overlays_of(definition: Definition) -> tuple[Overlay, ...]:
    """Its root file system, what it wrote included."""
    from stackup.linux.overlay import Overlay

    return tuple(Overlay(**{**item, "lowers": tuple(item["lowers"])}) for item in definition.overlays)
