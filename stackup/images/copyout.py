"""Copies part of a stacked image into a plain directory: the first content of a volume, ``COPY --from``."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from stackup.images.lookup import Place, Stack
from stackup.images.unpack import wanted_xattr
from stackup.linux.overlay import Overlay

_CHUNK = 1 << 20


def copy_out(overlays: tuple[Overlay, ...], path: str, target: Path) -> bool:
    """Copies what is in directory ``path`` of the image into the existing directory ``target``, which also takes over
    owner, mode and time of ``path``. False (nothing done) when the image has no such directory.

    Owners, modes, times, file capabilities, user xattrs, hard links, links and devices are kept.
    """
    stack = Stack(overlays)
    place = stack.find(path)
    if not place.is_directory:
        return False
    _Copy(stack).directory(place, target)
    return True


class _Copy:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.links: dict[tuple[int, int], Path] = {}

    def directory(self, place: Place, target: Path) -> None:
        for name in self.stack.names(place):
            child = self.stack.find(f"{place.path.rstrip('/')}/{name}", follow=False)
            if child.is_directory:
                (target / name).mkdir(exist_ok=True)
                self.directory(child, target / name)
            elif child.paths:
                self.leaf(child.paths[0], target / name)
        copy_attributes(place.paths[0], target)

    def leaf(self, source: str, target: Path) -> None:
        info = os.lstat(source)
        if info.st_nlink > 1:
            first = self.links.setdefault((info.st_dev, info.st_ino), target)
            if first != target:
                os.link(first, target, follow_symlinks=False)
                return
        copy_leaf(source, target, info)


def copy_leaf(source: str, target: Path, info: os.stat_result) -> None:
    """Copies anything but a directory; ``target`` must not exist. Sockets are left out."""
    if stat.S_ISREG(info.st_mode):
        _copy_file(source, target)
    elif stat.S_ISLNK(info.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISFIFO(info.st_mode) or stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
        os.mknod(target, info.st_mode, info.st_rdev)
    else:
        return
    copy_attributes(source, target)


def _copy_file(source: str, target: Path) -> None:
    read_from = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        write_to = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while os.sendfile(write_to, read_from, None, _CHUNK):
                pass
        finally:
            os.close(write_to)
    finally:
        os.close(read_from)


def copy_attributes(source: str, target: Path) -> None:
    """Owner (as root), mode, xattrs and times; in that order, since a new owner drops setuid bits and capabilities."""
    info = os.lstat(source)
    if os.geteuid() == 0:
        os.chown(target, info.st_uid, info.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        os.chmod(target, stat.S_IMODE(info.st_mode))
        for name in os.listxattr(source):
            if wanted_xattr(name):
                try:
                    os.setxattr(target, name, os.getxattr(source, name))
                except OSError:
                    continue
    os.utime(target, ns=(info.st_mtime_ns, info.st_mtime_ns), follow_symlinks=False)
