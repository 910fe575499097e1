"""``stackup volume prune``: volumes that no container uses go away, with their data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stackup.cli.options import switch, values
from stackup.cli.session import Session
from stackup.cli.table import human_size
from stackup.cli.things import confirm, filters, has_labels
from stackup.cli.volumes import labels_of


@dataclass(frozen=True)
class Request:
    """Remove all anonymous volumes that no container uses; with -a, named ones too."""

    all: bool = switch("-a", "--all", help="Named ones too.")
    filter: tuple[str, ...] = values("--filter", help="Only some: label=.", metavar="KEY=VALUE")
    force: bool = switch("-f", "--force", help="Do not ask.")


def run(session: Session, request: Request) -> int:
    wanted = filters(request.filter, ("label",)).get("label", [])
    if not request.force:
        which = "all" if request.all else "anonymous"
        confirm(
            session,
            "prune volumes",
            f"WARNING! This will remove {which} local volumes not used by at least one container.",
        )
    session.console.print(f"Total reclaimed space: {human_size(remove_unused(session, wanted, named=request.all))}")
    return 0


def remove_unused(session: Session, labels: Sequence[str], *, named: bool) -> int:
    """Anonymous ones, with ``named`` all; says which went, and answers how many bytes that freed."""
    from stackup.engine.inventory import Inventory
    from stackup.volumes.store import VolumeStore

    inventory, store = Inventory(session.layout), VolumeStore(session.layout)
    found = [
        item
        for item in store.list()
        if (item.anonymous or named)
        and has_labels(labels_of(item), labels)
        and not inventory.users_of_volume(item.name)
    ]
    freed = sum(_bytes(item.data) for item in found)
    for item in found:
        store.remove(item.name)
    if found:
        session.console.print("\n".join(["Deleted Volumes:", *(item.name for item in found), ""]))
    return freed


def _bytes(directory: Path) -> int:
    """On disk."""
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                continue
    return total
