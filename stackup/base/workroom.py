"""Temporary files and directories that are collected when their maker is dead.

A maker holds an flock on what it makes; a sweep deletes whatever it can lock itself. Whoever is killed with -9 loses
its locks, so half-made things vanish at the next sweep, and never while they are being made.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stackup.base.files import locked

_DEEP = 100  # directories that are open at once


class Workroom:
    """``path`` should lie on the file system where the finished things go, so that a rename publishes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._gate = path / ".gate"  # shared: making something; exclusive: sweeping

    @contextmanager
    def directory(self) -> Iterator[Path]:
        """A fresh directory, deleted at the end of the block unless it was renamed away."""
        with self._made(directory=True) as path:
            yield path

    @contextmanager
    def file(self) -> Iterator[Path]:
        """A fresh empty file, deleted at the end of the block unless it was renamed away."""
        with self._made(directory=False) as path:
            yield path

    @contextmanager
    def _made(self, *, directory: bool) -> Iterator[Path]:
        path = self.path / new_name()
        with locked(self._gate, shared=True):
            if directory:
                path.mkdir(mode=0o700)
            else:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(fd, fcntl.LOCK_SH)
        try:
            yield path
        finally:
            delete(path)
            os.close(fd)

    def sweep(self) -> int:
        """Deletes what dead makers left; answers how many things."""
        count = 0
        for path in self.deserted():
            delete(path)
            count += 1
        return count

    def deserted(self) -> Iterator[Path]:
        """What dead makers left; each stays so until the next one is asked for."""
        if not self.path.is_dir():
            return
        with locked(self._gate):
            for name in os.listdir(self.path):
                if name == self._gate.name:
                    continue
                try:
                    fd = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                except FileNotFoundError:
                    continue
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    yield self.path / name
                except BlockingIOError:
                    pass
                finally:
                    os.close(fd)


def new_name() -> str:
    """PID-START-RANDOM: tells its maker from another process that got the same pid later. START is in clock ticks
    since boot, field 22 of /proc/PID/stat."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        start = file.read().rpartition(")")[2].split()[19]
    return f"{os.getpid()}-{start}-{os.urandom(6).hex()}"


def remove_tree(name: bytes | str, directory: int) -> None:
    """Deletes whatever ``name`` below the directory descriptor is, without following links. Missing is fine. It may be
    deeper than Python calls, and have more directories in each other than there are descriptors: what lies deep is
    moved up first."""
    if _unlinked(name, directory):
        return
    opened = [(name, _opened(name, directory))]
    children = [os.listdir(opened[0][1])]
    try:
        while opened:
            here, fd = opened[-1]
            if not children[-1]:
                children.pop()
                os.close(opened.pop()[1])
                os.rmdir(here, dir_fd=opened[-1][1] if opened else directory)
                continue
            child = children[-1].pop()
            if _unlinked(child, fd):
                continue
            if len(opened) >= _DEEP:
                up = f".deep-{os.urandom(8).hex()}"
                os.rename(child, up, src_dir_fd=fd, dst_dir_fd=opened[0][1])
                children[0].append(up)
            else:
                opened.append((child, _opened(child, fd)))
                children.append(os.listdir(opened[-1][1]))
    finally:
        for _, fd in opened:
            os.close(fd)


def _unlinked(name: bytes | str, directory: int) -> bool:
    """False for a directory."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except (IsADirectoryError, PermissionError):
        return False
    return True


def _opened(name: bytes | str, directory: int) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)


def delete(path: Path) -> None:
    """Deletes a file or a whole directory without following links; missing is fine."""
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove_tree(path.name, parent)
    finally:
        os.close(parent)
