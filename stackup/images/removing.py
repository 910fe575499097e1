"""Takes names away from images, and images out of the store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stackup.base.errors import ImageError
from stackup.images import usage
from stackup.images.claims import claimed
from stackup.oci import image as oci
from stackup.oci import reference as references

if TYPE_CHECKING:
    from stackup.images.store import ImageStore

Entries = tuple[oci.Descriptor, ...]


def remove_image(store: ImageStore, descriptor: oci.Descriptor, reference: str, *, force: bool) -> list[str]:
    """``ImageStore.remove`` for an image that is there; ``descriptor`` is its place in the index.

    What is decided is decided under the index's lock: a name that is given meanwhile is not lost.
    """
    name = descriptor.annotations.get(oci.REF_NAME, "")
    by_id = not name or _canonical(reference) != name
    image_id = store.id_of(descriptor)
    gone: list[str] = []

    def change(items: Entries) -> Entries:
        gone.clear()
        same = [item for item in items if item.digest == descriptor.digest]
        doomed = same if by_id else [item for item in same if item.annotations.get(oci.REF_NAME) == name]
        if not doomed:
            raise ImageError(f"cannot remove '{reference}': no such image")
        if by_id and len(same) > 1 and not force:
            names = ", ".join(_names(same))
            raise ImageError(f"cannot remove '{reference}': it has several names: {names}", hint="Remove them by name.")
        kept = tuple(item for item in items if item not in doomed)
        last = image_id not in {store.id_of(item) for item in kept}
        if last and not force and (user := usage.images_used(store.layout).get(image_id)):
            raise ImageError(
                f"cannot remove '{reference}': container {user} was made from it",
                hint="take its project down first; or give --force, and the container keeps its layers",
            )
        if not force and (owner := next((owner for item, owner in claimed(store) if item in doomed), "")):
            raise ImageError(
                f"cannot remove '{reference}': {owner} is about to make a container of it",
                hint="wait for its command to end; or give --force",
            )
        gone.extend(f"untagged {item}" for item in _names(doomed))
        if last:
            gone.append(f"deleted {image_id}")
        return kept

    store.index.update(change)
    if descriptor.digest not in {item.digest for item in store.index.read().manifests}:
        usage.collect(store.layout, store.blobs, store.layers, store.index)
    return gone


def _names(items: Iterable[oci.Descriptor]) -> list[str]:
    return [references.parse(text).familiar for item in items if (text := item.annotations.get(oci.REF_NAME))]


def _canonical(text: str) -> str:
    try:
        return str(references.parse(text))
    except ValueError:
        return ""
