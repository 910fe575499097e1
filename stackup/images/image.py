"""An image as a value: which directories are stacked to make its root file system, and how to run it."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from stackup.base.errors import HostUnfit, ImageError
from stackup.base.values import frozen
from stackup.images import fitness
from stackup.images.tree import Layer, Tree
from stackup.linux.overlay import Overlay
from stackup.oci.image import ImageConfig, Platform

HOST = "host"


@frozen
class Image:
    """``id`` is the digest of the image configuration, ``digest`` that of the manifest. ``layers`` bottom first.

    ``host``: the image is, or was built on, the built-in image ``host``; ``host_state`` then names the state of the
    machine that it stands on. ``stranger``: it says that it was built so, but not here; it cannot be used. ``pulled``:
    when its registry was asked last, RFC 3339, "" for never.
    """

    reference: str
    id: str
    config: ImageConfig
    layers: tuple[Layer, ...]
    host: bool = False
    trees: tuple[Tree, ...] = (Tree("/"),)
    digest: str = ""
    created: str = ""
    platform: Platform | None = None
    host_state: str = ""
    empty: str = ""
    pulled: str = ""
    stranger: bool = False

    def check_own(self) -> None:
        """Raises ImageError for a stranger."""
        if self.stranger:
            raise ImageError(
                f"cannot use image {self.reference}: it was built on the userland of another machine (FROM host)",
                hint="This machine's own must not be shown to it. Build it here: stackup build",
            )

    def overlays(self, writable: Path | None) -> tuple[Overlay, ...]:
        """The root file system, "/" first; upper and work directories below ``writable`` (None: read-only).

        Creates nothing: see ``prepare``.
        """
        found = []
        for tree in self.trees:
            # The kernel refuses a layer that is there twice; the upper one of two equal layers hides the lower anyway.
            layers = dict.fromkeys(layer.path for layer in reversed(self.layers))
            parts = [path for layer in layers if (path := _part(layer, tree.target))]
            lowers = (*parts, *tree.lowers) or (self.empty,)
            upper, work = (f"{writable}/{name}.{tree.slug}" if writable else "" for name in ("upper", "work"))
            found.append(Overlay(tree.target, lowers, upper, work))
        return tuple(found)


def _part(layer: Path, target: str) -> str:
    """The part of a layer that belongs at ``target``, or "". A link on the way counts as absent: it must not lead
    outside."""
    path = str(layer)
    for name in filter(None, target.split("/")):
        path = f"{path}/{name}"
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                return ""
        except (FileNotFoundError, NotADirectoryError):
            return ""
    return path


def check_fit(overlays: tuple[Overlay, ...]) -> None:
    """Raises HostUnfit where these could not be mounted; touches nothing, and needs no directory to be there yet."""
    fitness.check_kernel()
    for overlay in overlays:
        if overlay.upper:
            _check_inside(overlay)


def prepare(overlays: tuple[Overlay, ...], *, checked: bool = False) -> None:
    """Makes the upper and work directories, fit for mounting. Not while they are mounted.

    Raises HostUnfit where the kernel would refuse: state on overlayfs or a network file system, no overlayfs at all,
    an upper directory inside one of its lowers. ``checked``: the same lowers with a neighbouring upper directory have
    passed already, so only the directories are made.
    """
    fitness.check_kernel()
    for overlay in overlays:
        for lower in overlay.lowers:
            if not os.path.isdir(lower):
                raise ImageError(f"cannot prepare a root file system: layer {lower} is not there")
        if overlay.upper:
            os.makedirs(os.path.dirname(overlay.upper), exist_ok=True)
            if not checked:
                _check_upper(overlay)
            _prepare_upper(overlay)


def _check_upper(overlay: Overlay) -> None:
    fitness.check_storage(Path(overlay.upper).parent)
    _check_inside(overlay)


def _check_inside(overlay: Overlay) -> None:
    upper = Path(overlay.upper)
    for lower in overlay.lowers:
        if fitness.inside(upper, Path(lower)):
            raise HostUnfit(
                f"cannot use {upper.parent} for a container's own files: it lies inside {lower}, which is part of "
                "the container's root file system",
                hint="Set STACKUP_ROOT to a directory elsewhere, e.g. STACKUP_ROOT=/var/lib/stackup.",
            )


def _prepare_upper(overlay: Overlay) -> None:
    try:
        os.mkdir(overlay.upper)
    except FileExistsError:
        if os.path.exists(f"{overlay.work}/work/incompat"):  # left by a mount with the option volatile: refused again
            shutil.rmtree(overlay.work)
    else:
        # The merged root shows the upper's own attributes, so they must be those of what it covers.
        lower_stat = os.stat(overlay.lowers[0])
        if os.geteuid() == 0:
            os.chown(overlay.upper, lower_stat.st_uid, lower_stat.st_gid)
        os.chmod(overlay.upper, stat.S_IMODE(lower_stat.st_mode))
    with suppress(FileExistsError):
        os.mkdir(overlay.work)
