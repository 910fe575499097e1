"""What ``RUN --mount=type=bind`` shows of a context: a copy that is made once in a build for each content.

A copy, because a context is alive, and its files belong to whoever checked them out: a command that takes minutes must
see what its key was made of, and root as the owner, as in BuildKit. (An idmapped mount turns one owner into another,
never several into one, and would still be alive.) Where the file system can share blocks, the copy takes none.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

from stackup.base.values import frozen
from stackup.base.workroom import new_name
from stackup.build.changes import Changes
from stackup.build.sources import Item
from stackup.build.writer import LayerWriter, Override
from stackup.linux.overlay import Overlay


@frozen
class Bound:
    """What a mount shows, as it was read for the key: ``identity`` of the content, and its items."""

    identity: str
    items: tuple[Item, ...]


class Snapshots:
    """Of one build, below ``room``. Used from several threads."""

    def __init__(self, room: Path) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._made: dict[str, Path] = {}

    def of(self, bound: Bound, changes: Changes) -> Path:
        """The directory or file with that content. A copy of files that changed meanwhile (``changes`` hears of them)
        is nobody else's."""
        with self._lock:
            if bound.identity not in self._made:
                path = self._copied(bound, changes)
                if changes.paths:
                    return path
                self._made[bound.identity] = path
            return self._made[bound.identity]

    def _copied(self, bound: Bound, changes: Changes) -> Path:
        place = self._room / f"snapshot-{new_name()}"
        for name in ("lower", "upper", "work"):
            (place / name).mkdir(parents=True)
        upper, first = place / "upper", bound.items[0]
        writer = LayerWriter((Overlay("/", (f"{place}/lower",), str(upper), f"{place}/work"),), changes)
        if not first.is_directory:
            writer.put(list(bound.items), "/file", Override((0, 0)))
            return upper / "file"
        writer.put(list(bound.items), "/", Override((0, 0)))
        os.chmod(upper, stat.S_IMODE(first.info.st_mode))
        os.utime(upper, ns=(first.info.st_mtime_ns, first.info.st_mtime_ns))
        return upper
