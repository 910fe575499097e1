"""One overlayfs mount, as a value that ``images`` computes and ``runtime`` carries out."""

from __future__ import annotations

from stackup.base.values import frozen


@frozen
class Overlay:
    """``target`` is absolute inside the container ("/" is the root); ``lowers`` topmost first, host paths.

    ``upper`` and ``work`` empty: a read-only mount of the lowers. A root file system is a tuple of these, "/" first.
    """

    target: str
    lowers: tuple[str, ...]
    upper: str = ""
    work: str = ""
