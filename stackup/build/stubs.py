"""Mount points that the runtime made in a step's upper directory, because the image lacks them, are not the image's."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path

from stackup.base.values import frozen
from stackup.images.lookup import Stack, is_opaque
from stackup.linux.overlay import Overlay

_FILES = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")
_DIRECTORIES = ("/proc", "/sys", "/dev")


@frozen
class Stubs:
    """What is missing before a step: paths in the image, links resolved, deepest first. ``above``: directories that
    are there and that a stub changes, with their owner and mode."""

    files: tuple[str, ...]
    directories: tuple[str, ...]
    above: tuple[tuple[str, tuple[int, int, int]], ...]
    uppers: tuple[tuple[str, str], ...]

    @classmethod
    def before(
        cls, overlays: tuple[Overlay, ...], mounted: Sequence[str] = (), mounted_files: Sequence[str] = ()
    ) -> Stubs:
        """``mounted``, ``mounted_files``: further directories and files that something is mounted on."""
        plain = (*_FILES, *mounted_files)
        view = Stack(overlays)
        files: list[str] = []
        directories: list[str] = []
        for name in (*plain, *_DIRECTORIES, *mounted):
            place = view.find(name)
            if place.paths:
                continue
            (files if name in plain else directories).append(place.path)
            parent = posixpath.dirname(place.path)
            while parent != "/" and not view.find(parent).paths:
                directories.append(parent)
                parent = posixpath.dirname(parent)
        parents = {posixpath.dirname(path) for path in (*files, *directories)} - {"/"}
        there = [(path, place) for path in parents if (place := view.find(path)).paths]
        above = sorted((path, _identity(place.paths[0])) for path, place in there)
        ordered = sorted(set(directories), key=lambda path: -path.count("/"))
        uppers = sorted(((overlay.target, overlay.upper) for overlay in overlays), key=lambda pair: -len(pair[0]))
        return cls(tuple(files), tuple(ordered), tuple(above), tuple(uppers))

    def _upper(self, path: str) -> Path:
        target, upper = next(pair for pair in self.uppers if pair[0] == "/" or path.startswith(pair[0] + "/"))
        return Path(upper) / path[len(target) :].lstrip("/")

    def remove(self) -> None:
        """Takes away those that are still empty; what the command wrote itself stays."""
        for name in self.files:
            path = self._upper(name)
            if path.is_file() and not path.is_symlink() and path.stat().st_size == 0:
                path.unlink()
        for name in self.directories:
            path = self._upper(name)
            if path.is_dir() and not path.is_symlink() and not os.listdir(path):
                path.rmdir()
        for name, identity in self.above:
            path = self._upper(name)
            if path.is_dir() and not os.listdir(path) and not is_opaque(str(path)) and _identity(str(path)) == identity:
                path.rmdir()


def _identity(path: str) -> tuple[int, int, int]:
    info = os.lstat(path)
    return info.st_mode, info.st_uid, info.st_gid
