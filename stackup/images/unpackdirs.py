"""The directories of a tree that is being unpacked, as descriptors that no symbolic link was followed for.

Every one is opened below its parent's descriptor with O_NOFOLLOW, and made where it is missing. Where an archive goes
through a link that it brought itself (``a -> usr``, then ``a/file``), the link is resolved here, inside the target.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from stackup.base.errors import ImageError
from stackup.base.foreign import shown
from stackup.images.tarstream import Entry

OPAQUE = "trusted.overlay.opaque"
Parts = tuple[bytes, ...]
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CACHED = 200  # open directories
_MAX_LINKS = 40  # as the kernel's own limit
_MAX_DEPTH = 512


def named(entry: Entry | None) -> str:
    return f"'{shown(entry.name)}'" if entry else "the layer"


def refuse(entry: Entry, reason: str) -> ImageError:
    return ImageError(
        f"cannot unpack {named(entry)}: {reason}",
        hint="The archive may be hostile; nothing of it was kept.",
    )


def split_path(path: bytes) -> Parts:
    parts = path.split(b"/")
    if b"" in parts or b"." in parts:
        return tuple([part for part in parts if part not in (b"", b".")])
    return tuple(parts)


def is_whiteout(there: os.stat_result) -> bool:
    return stat.S_ISCHR(there.st_mode) and there.st_rdev == 0


def make_opaque(fd: int) -> None:
    """Without root, nothing is hidden."""
    if os.geteuid() == 0:
        os.setxattr(fd, OPAQUE, b"y")


class Directories:
    """Below ``target``, which exists; by their real paths, the target's own is ()."""

    def __init__(self, target: Path) -> None:
        self._open: dict[Parts, int] = {(): os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)}

    def close(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def find(self, parts: Parts, entry: Entry) -> tuple[Parts, int]:
        """The real path below the target (links resolved) and a descriptor for it; missing ones are made."""
        fd = self._open.get(parts)
        return (parts, fd) if fd is not None else self._walk(parts, entry)

    def _walk(self, parts: Parts, entry: Entry) -> tuple[Parts, int]:
        known = next(n for n in range(len(parts), -1, -1) if parts[:n] in self._open)
        done, todo, links = parts[:known], list(reversed(parts[known:])), 0
        while todo:
            name = todo.pop()
            if name == b"..":  # only out of a link's target; at the top it stays there, as in a chroot
                done = done[:-1]
                continue
            here = (*done, name)
            if len(here) > _MAX_DEPTH:
                raise refuse(entry, f"its path is more than {_MAX_DEPTH} directories deep")
            if here not in self._open:
                found = self._open_or_make(self._open[done], name, entry)
                if isinstance(found, bytes):
                    links += 1
                    if links > _MAX_LINKS:
                        raise refuse(entry, "too many levels of symbolic links")
                    todo.extend(reversed(split_path(found)))
                    done = () if found.startswith(b"/") else done
                    continue
                self._remember(here, found)
            done = here
        return done, self._open[done]

    def _open_or_make(self, parent: int, name: bytes, entry: Entry) -> int | bytes:
        """A descriptor, or where the symbolic link of that name points to."""
        try:
            return os.open(name, FLAGS, dir_fd=parent)
        except FileNotFoundError:
            hides = False
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            there = os.lstat(name, dir_fd=parent)
            if stat.S_ISLNK(there.st_mode):
                return os.readlink(name, dir_fd=parent)
            if not is_whiteout(there):
                raise refuse(entry, f"'{shown(name)}' above it is not a directory") from None
            os.unlink(name, dir_fd=parent)
            hides = True
        os.mkdir(name, 0o755, dir_fd=parent)
        fd = os.open(name, FLAGS, dir_fd=parent)
        if hides:
            make_opaque(fd)
        return fd

    def _remember(self, parts: Parts, fd: int) -> None:
        if len(self._open) >= _CACHED:
            keep = {parts[:n] for n in range(len(parts))}
            for other in [key for key in self._open if key and key not in keep]:
                os.close(self._open.pop(other))
        self._open[parts] = fd

    def forget(self, parts: Parts) -> None:
        """Drops what is known about a directory that is about to be replaced, and about all below it."""
        depth = len(parts)
        for key in [key for key in self._open if key[:depth] == parts]:
            os.close(self._open.pop(key))
