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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackup.base.files import write_atomic
from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.network.types import NetworkState

_SUFFIX = ".leases"


@contextmanager
def host_lock(layout: Layout) -> Iterator[None]:
    """One holder at a time per network namespace and per state root. Held for milliseconds, never across a wait.

    The locks are on things that are there anyway, the lease directory and the namespace: nothing is left of them.
    """
    layout.claim()
    layout.leases.mkdir(exist_ok=True)
    with ExitStack() as held:
        for path in (str(layout.leases), "/proc/thread-self/ns/net"):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            held.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield


@frozen
class Lease:
    """Who has an address. ``names`` are what other stacks in the same network may call it."""

    project: str
    container_id: str
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Book:
    """The addresses of one network, by IPv4 address (or, without IPv4, by number).

    ``last`` is the one chosen most recently; ``state`` is the network itself, so that other stacks find it by name.
    """

    state: dict[str, Any]
    addresses: dict[str, Lease] = field(default_factory=dict)
    last: str = ""

    def note(self, line: str) -> None:
        words = line.split(" ")
        if len(words) == 5 and words[0] in "+=":
            self.addresses[words[1]] = Lease(words[2], words[3], tuple(filter(None, words[4].split(","))))
            self.last = words[1] if words[0] == "+" else self.last
        elif len(words) == 2 and words[0] == "-":
            self.addresses.pop(words[1], None)

    def of(self, container_id: str) -> str:
        return next((item for item, lease in self.addresses.items() if lease.container_id == container_id), "")


class Books:
    """The lease files of one state root. Every method but ``read`` expects the caller to hold ``host_lock``.

    A file is a journal: the network as one JSON line, then "+ ADDRESS PROJECT CONTAINER NAME,NAME" for a chosen
    address, "=" for one that was asked for, "- ADDRESS" for one given back. Appending a line costs a fraction of
    replacing a file, and a line cut short by a crash is known by its missing end.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._journals: dict[str, _Journal] = {}

    def read(self, bridge: str) -> Book | None:
        """None when there is no file, or none that can be read."""
        path = str(self.path(bridge))
        known = self._journals.get(bridge)
        try:
            if known is None or not known.is_at(path):
                self._forget(bridge)
                known = self._journals[bridge] = _Journal(path)
            return known.read_on()
        except (FileNotFoundError, ValueError):
            self._forget(bridge)
            return None

    def _forget(self, bridge: str) -> None:
        known = self._journals.pop(bridge, None)
        if known is not None:
            known.close()

    def write(self, bridge: str, book: Book) -> None:
        """The whole file anew."""
        lines = [json.dumps(book.state, separators=(",", ":"))]
        lines += [_line(address, lease, asked=True) for address, lease in book.addresses.items()]
        write_atomic(self.path(bridge), "\n".join([*lines, ""]))

    def lease(self, bridge: str, address: str, lease: Lease, *, asked: bool) -> None:
        self._append(bridge, _line(address, lease, asked=asked))

    def free(self, bridge: str, address: str) -> None:
        self._append(bridge, f"- {address}")

    def drop(self, bridge: str) -> None:
        self._forget(bridge)
        self.path(bridge).unlink(missing_ok=True)

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
        with self.path(bridge).open("a") as file:
            file.write(line + "\n")

    def path(self, bridge: str) -> Path:
        return self._directory / f"{bridge}{_SUFFIX}"


class _Journal:
    """One lease file, held open (so that no other file can get its inode) and read on where somebody appended."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._inode = os.fstat(self._fd).st_ino
        self._read = 0
        self._book: Book | None = None

    def close(self) -> None:
        os.close(self._fd)

    def is_at(self, path: str) -> bool:
        return os.stat(path).st_ino == self._inode

    def read_on(self) -> Book:
        """Raises ValueError when there is no network in its first line."""
        new = os.pread(self._fd, os.fstat(self._fd).st_size - self._read, self._read)
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        lines = whole.decode().split("\n")[:-1]
        if self._book is None:
            self._book = Book(json.loads(lines.pop(0) if lines else ""))
        for line in lines:
            self._book.note(line)
        return self._book


def _line(address: str, lease: Lease, *, asked: bool) -> str:
    names = ",".join(name for name in lease.names if not set(name) & set(" ,\n"))
    return f"{'=' if asked else '+'} {address} {lease.project} {lease.container_id} {names}"
