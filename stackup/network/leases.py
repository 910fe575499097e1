"""Who has which address: one small file per network, and the locks that everything host-wide happens under.

The lock is an advisory one on the network namespace itself, so that two state roots on one machine exclude each other
while they look for a free subnet. The files only speed up and name what the kernel and the records know: ``recover``
writes them anew.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackup.base.files import locked, write_atomic
from stackup.base.paths import Layout
from stackup.network.types import NetworkState

_SUFFIX = ".leases"


@contextmanager
def host_lock(layout: Layout) -> Iterator[None]:
    """One holder at a time per network namespace and per state root. Held for milliseconds, never across a wait."""
    with locked(layout.leases / "lock"):
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


@dataclass(slots=True)
class Book:
    """The addresses of one network: ``addresses`` maps IPv4 (or, without IPv4, a number) to (project, container id).

    ``last`` is the one chosen most recently; ``state`` is the network itself, so that other stacks find it by name.
    """

    state: dict[str, Any]
    addresses: dict[str, tuple[str, str]] = field(default_factory=dict)
    last: str = ""

    def of(self, container_id: str) -> str:
        return next((item for item, (_, holder) in self.addresses.items() if holder == container_id), "")


class Books:
    """The lease files of one state root. Every method expects the caller to hold ``host_lock``.

    A file is a journal: the network as one JSON line, then "+ ADDRESS PROJECT CONTAINER" for a chosen address, "=" for
    one that was asked for, "- ADDRESS" for one given back. Appending a line costs a fraction of replacing a file, and a
    line cut short by a crash is known by its missing end.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, bridge: str) -> Book | None:
        """None when there is no file, or none that can be read."""
        try:
            head, *lines = self._path(bridge).read_text().split("\n")
            book = Book(json.loads(head))
        except (FileNotFoundError, ValueError):
            return None
        for line in lines[:-1]:
            words = line.split(" ")
            if len(words) == 4 and words[0] in "+=":
                book.addresses[words[1]] = (words[2], words[3])
                book.last = words[1] if words[0] == "+" else book.last
            elif len(words) == 2 and words[0] == "-":
                book.addresses.pop(words[1], None)
        return book

    def write(self, bridge: str, book: Book) -> None:
        """The whole file anew."""
        lines = [json.dumps(book.state, separators=(",", ":"))]
        lines += [f"= {address} {project} {holder}" for address, (project, holder) in book.addresses.items()]
        write_atomic(self._path(bridge), "\n".join([*lines, ""]))

    def lease(self, bridge: str, address: str, project: str, container_id: str, *, asked: bool) -> None:
        self._append(bridge, f"{'=' if asked else '+'} {address} {project} {container_id}")

    def free(self, bridge: str, address: str) -> None:
        self._append(bridge, f"- {address}")

    def drop(self, bridge: str) -> None:
        self._path(bridge).unlink(missing_ok=True)

    def bridges(self) -> list[str]:
        return sorted(path.name.removesuffix(_SUFFIX) for path in self._directory.glob(f"*{_SUFFIX}"))

    def find(self, name: str) -> NetworkState | None:
        """The network of that full name, whichever stack made it."""
        for bridge in self.bridges():
            book = self.read(bridge)
            if book is not None and book.state.get("name") == name:
                return NetworkState.from_dict(book.state)
        return None

    def _append(self, bridge: str, line: str) -> None:
        with self._path(bridge).open("a") as file:
            file.write(line + "\n")

    def _path(self, bridge: str) -> Path:
        return self._directory / f"{bridge}{_SUFFIX}"
