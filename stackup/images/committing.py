"""Makes an image of what a container has written: the layers that it stands on, and one more."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stackup.base.clock import now_ns, rfc3339
from stackup.base.diskroom import telling
from stackup.base.errors import ImageError
from stackup.base.foreign import shown
from stackup.images import diff, usage
from stackup.images.image import Image
from stackup.images.tree import Layer
from stackup.linux.overlay import Overlay
from stackup.oci import image as oci

if TYPE_CHECKING:
    from stackup.images.store import ImageStore


def commit(
    store: ImageStore,
    image_id: str,
    overlays: Sequence[Overlay],
    reference: str,
    config: oci.ImageConfig,
    *,
    author: str = "",
    message: str = "",
    created_by: str = "",
) -> Image:
    """``image_id``: what the container was made from; ``overlays``: its root file system, whose upper directories are
    read and left alone. ``config``: how to run the new image. Without a reference it stays unnamed.

    Raises ImageError where the image is not here any more. Nothing may write into the container meanwhile.
    """
    store.sweep()
    with telling("commit the container", store.layout), usage.bringing_in(store.layout):
        descriptor = store.find(image_id)
        if descriptor is None:
            raise ImageError(
                f"cannot commit the container: its image {image_id[:19]} is not here any more",
                hint="`stackup export` and `stackup import` make an image without its layers",
            )
        image = store.image(descriptor, image_id)
        document = store.config_file(store.manifest(descriptor))
        try:
            layer = _layer(store, [(item.target, Path(item.upper)) for item in overlays if item.upper])
        except OSError as error:
            where = f" ({shown(os.fsdecode(error.filename))})" if error.filename else ""
            raise ImageError(f"cannot commit the container: {error.strerror}{where}") from error
        now = rfc3339(now_ns())
        step = oci.History(now, created_by, message)
        changed = replace(
            document, config=config, created=now, author=author or document.author, history=(*document.history, step)
        )
        return store.put_image((*image.layers, layer), changed, reference, on_host=image.host)


def _layer(store: ImageStore, parts: Sequence[tuple[str, Path]]) -> Layer:
    """One that is empty, too: it says that the container wrote nothing."""
    there = [(target, upper) for target, upper in parts if upper.is_dir()]
    blob = store.blobs.put(diff.container_tar(there), oci.LAYER)
    path = store.layers.ensure(blob, blob.digest, store.blobs)
    return Layer(blob.digest, blob.digest, blob.media_type, blob.size, path)
