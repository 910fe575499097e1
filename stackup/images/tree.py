"""The parts that images are made of, as values."""

from __future__ import annotations

from pathlib import Path

from stackup.base.values import frozen


@frozen
class Layer:
    """``path`` is where the layer lies unpacked; sizes in bytes: ``size`` as stored in the blob."""

    diff_id: str
    digest: str
    media_type: str
    size: int
    path: Path


@frozen
class Tree:
    """A mount point of the root file system with the lower directories that the image's base gives it, topmost first.

    Ordinary images have one, "/". Images on ``host`` have one more for /usr and for every mount of the host below it.
    """

    target: str
    lowers: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """What the names of the tree's own directories in a container's writable directory end with."""
        return self.target.strip("/").replace("/", "+") or "root"
