"""Which images stand on this machine's own userland: those that were built on ``host`` here.

An image's own word for it is not enough. Anybody can push one that says so, and whoever runs that would show it all
programs of the machine and a copy of its /etc. So there is a mark, an empty file named after the image's id, that only
a build or commit here makes.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from stackup.base.values import frozen
from stackup.images.blobs import BlobStore

_KEPT = 30 * 86400  # seconds that a mark outlives its image, which may have been saved


@frozen
class HostMarks:
    blobs: BlobStore

    @property
    def _directory(self) -> Path:
        return self.blobs.root / ".on-host"

    def has(self, image_id: str) -> bool:
        return (self._directory / self.blobs.path(image_id).name).exists()

    def add(self, image_id: str) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._sweep()
        (self._directory / self.blobs.path(image_id).name).touch()

    def _sweep(self) -> None:
        for entry in os.scandir(self._directory):
            with suppress(FileNotFoundError):
                old = entry.stat().st_mtime < time.time() - _KEPT
                if old and not self.blobs.has(f"sha256:{entry.name}"):
                    os.unlink(entry.path)
