"""Whether a file still is what it was when it was hashed: a context is alive, and somebody may save a file meanwhile.

What is copied is looked at again after its last byte was read, so that no layer is recorded under a key that other
content has made. The kernel's mark of a file is size, both times to the nanosecond, and the inode, as in
``filedigests``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
_TRIES = 3


class Changed(Exception):
    """``path`` is another file than the one that was hashed. The step is to be read again and repeated."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} has changed")
        self.path = path


@dataclass(slots=True)
class Changes:
    """Those of one step. ``strict``: the first one raises Changed; else it is noted in ``paths``."""

    strict: bool = False
    paths: list[str] = field(default_factory=list)

    def compare(self, path: str, hashed: os.stat_result, now: os.stat_result) -> None:
        """``hashed``: as it was found before it was hashed; ``now``: after it was read."""
        if not same(hashed, now):
            if self.strict:
                raise Changed(path)
            self.paths.append(path)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """For a block that reads files which may be taken away meanwhile."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            if self.strict:
                raise Changed(str(error.filename)) from None
            raise

    def look(self, path: str, hashed: os.stat_result) -> None:
        self.compare(path, hashed, os.lstat(path))


def steadily(do: Callable[[Changes], T], on_change: Callable[[str], None]) -> tuple[T, list[str]]:
    """Does it anew while files change meanwhile; ``on_change`` gets the path. The last time they may: answers which
    did, beside the result."""
    for _ in range(_TRIES - 1):
        try:
            return do(Changes(strict=True)), []
        except Changed as change:
            on_change(change.path)
    changes = Changes()
    return do(changes), changes.paths


def same(one: os.stat_result, other: os.stat_result) -> bool:
    return (
        one.st_mtime_ns == other.st_mtime_ns
        and one.st_ctime_ns == other.st_ctime_ns
        and one.st_size == other.st_size
        and one.st_ino == other.st_ino
        and one.st_dev == other.st_dev
        and one.st_mode == other.st_mode
    )
