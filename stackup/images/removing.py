"""Takes names away from images, and images out of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackup.base.errors import ImageError
from stackup.images import usage
from stackup.oci import image as oci
from stackup.oci import reference as references

if TYPE_CHECKING:
    from stackup.images.store import ImageStore


def remove_image(store: ImageStore, descriptor: oci.Descriptor, reference: str, *, force: bool) -> list[str]:
    """``ImageStore.remove`` for an image that is there; ``descriptor`` is its place in the index."""
    name = descriptor.annotations.get(oci.REF_NAME, "")
    same = [item for item in store.index.read().manifests if item.digest == descriptor.digest]
    by_id = not name or _canonical(reference) != name
    if by_id and sum(oci.REF_NAME in item.annotations for item in same) > 1 and not force:
        raise ImageError(f"cannot remove '{reference}': it has several names", hint="Remove them one by one.")
    image = store.image(descriptor, reference)
    last = by_id or len(same) == 1
    if last and not force and (user := usage.container_using(store.layout, image.layers)):
        raise ImageError(f"cannot remove '{reference}': container {user} stands on it")
    if by_id:
        store.index.drop(descriptor.digest)
    else:
        store.index.unset(name)
    gone = [f"untagged {references.parse(name).familiar}"] if name else []
    if last:
        usage.collect(store.layout, store.blobs, store.layers, store.index)
        gone.append(f"deleted {image.id}")
    return gone


def _canonical(text: str) -> str:
    try:
        return str(references.parse(text))
    except ValueError:
        return ""
