"""Mount points that the runtime made in a step's upper directory, because the image lacks them, are not the image's."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path

from stackup.images.lookup import Stack
from stackup.linux.overlay import Overlay

_FILES = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")
_DIRECTORIES = ("/proc", "/sys", "/dev")


@dataclass(frozen=True, slots=True)
class Stubs:
    """What is missing before a step: paths in the image, links resolved, deepest first."""

    files: tuple[str, ...]
    directories: tuple[str, ...]
    uppers: tuple[tuple[str, str], ...]

    @classmethod
    def before(cls, overlays: tuple[Overlay, ...], mounts: tuple[str, ...] = ()) -> Stubs:
        """``mounts``: further directories that something is mounted on."""
        view = Stack(overlays)
        files: list[str] = []
        directories: list[str] = []
        for name in (*_FILES, *_DIRECTORIES, *mounts):
            place = view.find(name)
            if place.paths:
                continue
            (files if name in _FILES else directories).append(place.path)
            above = posixpath.dirname(place.path)
            while above != "/" and not view.find(above).paths:
                directories.append(above)
                above = posixpath.dirname(above)
        ordered = sorted(set(directories), key=lambda path: -path.count("/"))
        uppers = sorted(((overlay.target, overlay.upper) for overlay in overlays), key=lambda pair: -len(pair[0]))
        return cls(tuple(files), tuple(ordered), tuple(uppers))

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
