"""``stackup system df``: how much of the disk is used for what."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from stackup.cli.formats import checked, is_template
from stackup.cli.imagelists import as_json, name_and_tag, short_id, store_of
from stackup.cli.options import switch, value
from stackup.cli.session import Session
from stackup.cli.table import human_size, table


@dataclass(frozen=True)
class Request:
    """Show how much of the disk images, containers, volumes and the build cache use."""

    format: str = value(
        "--format", help="table, json, or a template such as '{{.ID}}'.", default="table",
        metavar="FORMAT", check=checked("table", "json"),
    )  # fmt: skip
    verbose: bool = switch("-v", "--verbose", help="Every image, container and volume by itself.")


class Use(NamedTuple):
    """Bytes. ``reclaimable``: of what nothing uses right now."""

    kind: str
    total: int
    active: int
    size: int
    reclaimable: int

    def cells(self) -> tuple[str, ...]:
        share = f" ({100 * self.reclaimable // self.size}%)" if self.size else ""
        return (
            self.kind,
            str(self.total),
            str(self.active),
            human_size(self.size),
            f"{human_size(self.reclaimable)}{share}",
        )

    def row(self) -> dict[str, str]:
        """With the keys that ``docker system df --format json`` has."""
        kind, total, active, size, free = self.cells()
        return {"Active": active, "Reclaimable": free, "Size": size, "TotalCount": total, "Type": kind}


class Thing(NamedTuple):
    """A container or a volume."""

    name: str
    size: int
    active: bool


def run(session: Session, request: Request) -> int:
    from stackup.images import diskuse

    store = store_of(session)
    images, cache = diskuse.image_use(store), diskuse.build_cache_use(store)
    freed = cache.layer_bytes + cache.mount_bytes
    containers, volumes = _containers(session), _volumes(session)
    uses = (
        Use("Images", images.total, images.active, images.size, images.reclaimable),
        _of("Containers", containers),
        _of("Local Volumes", volumes),
        Use("Build Cache", cache.steps + cache.mounts, 0, freed + cache.source_bytes, freed),
    )
    out = session.console.out
    if request.format == "json":
        out.write("".join(json.dumps(use.row()) + "\n" for use in uses))
        return 0
    if is_template(request.format):
        from stackup.cli.templates import listed

        out.write(listed(request.format, (use.row() for use in uses), {"TotalCount": "TOTAL"}))
        return 0
    out.write(table(("TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"), (use.cells() for use in uses)))
    if request.verbose:
        rows = (
            (*name_and_tag(item.reference), short_id(item.id), human_size(item.size),
             human_size(as_json(item)["SharedSize"]), human_size(item.unique), "yes" if item.used else "no")
            for item in images.images
        )  # fmt: skip
        header = ("REPOSITORY", "TAG", "IMAGE ID", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "USED")
        out.write("\nImages, as stored:\n\n" + table(header, rows))
        if images.partial:
            out.write(f"\nOf images that did not come in to their end: {human_size(images.partial)}\n")
        out.write("\nContainers, what they wrote:\n\n" + _things("NAME", "RUNNING", containers))
        out.write("\nLocal Volumes:\n\n" + _things("VOLUME NAME", "USED", volumes))
        kept = (
            (f"layers of {cache.steps} steps", cache.layer_bytes, "yes"),
            (f"{cache.mounts} cache mounts", cache.mount_bytes, "yes"),
            ("downloads and checkouts", cache.source_bytes, "30 days after their last use"),
        )
        caches = ((what, human_size(size), goes) for what, size, goes in kept)
        out.write("\nBuild Cache:\n\n" + table(("WHAT", "SIZE", "PRUNED"), caches))
    return 0


def _of(kind: str, things: Iterable[Thing]) -> Use:
    found = list(things)
    idle = [item.size for item in found if not item.active]
    return Use(kind, len(found), len(found) - len(idle), sum(item.size for item in found), sum(idle))


def _things(name: str, active: str, things: Iterable[Thing]) -> str:
    rows = ((item.name, human_size(item.size), "yes" if item.active else "no") for item in things)
    return table((name, "SIZE", active), rows)


def _containers(session: Session) -> list[Thing]:
    from stackup.engine.inventory import Inventory
    from stackup.images.layers import allocated

    return [
        Thing(
            record.definition.name,
            allocated(session.layout.project(project.name).container(record.definition.id).state),
            record.state.phase in ("starting", "running", "paused", "restarting", "stopping"),
        )
        for project in Inventory(session.layout).projects
        for record in project.containers
    ]


def _volumes(session: Session) -> list[Thing]:
    from stackup.engine.inventory import Inventory
    from stackup.images.layers import allocated
    from stackup.volumes.store import VolumeStore

    inventory = Inventory(session.layout)
    return [
        Thing(item.name, allocated(item.data), bool(inventory.users_of_volume(item.name)))
        for item in VolumeStore(session.layout).list()
    ]
