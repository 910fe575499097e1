"""Removes images that nobody needs. Whatever a container stands on, running or not, stays; and what a command that is
under way is about to make containers of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from stackup.base.values import changed, frozen
from stackup.images import catalog, usage
from stackup.images.catalog import Listed
from stackup.images.claims import claimed
from stackup.images.partial import Parts
from stackup.oci import image as oci

if TYPE_CHECKING:
    from stackup.images.store import ImageStore


@frozen
class Pruned:
    """``gone``: lines as ``rmi`` has them. What has no name any more, but was not ``collected``, is deleted by the next
    collection."""

    gone: tuple[str, ...]
    collected: usage.Collected


def prune(
    store: ImageStore, *, named: bool, wanted: Callable[[Listed], bool] = lambda _item: True, partial: bool = True
) -> Pruned:
    """Images without a name; with ``named``, also those with one; with ``partial``, also what has arrived of images
    that nobody is pulling any more, and damaged images, which no filter can judge. Decided under the index's lock, so
    that what is tagged meanwhile stays; then everything goes that no name leads to."""
    gone: list[str] = []

    def change(items: tuple[oci.Descriptor, ...]) -> tuple[oci.Descriptor, ...]:
        gone.clear()
        listed = catalog.listed(store)
        needed = {(catalog.familiar(item), item.digest) for item, _ in claimed(store)}
        doomed = {
            (item.reference, item.digest): item
            for item in listed
            if not item.used and (partial or not item.damage) and (named or item.dangling) and wanted(item)
            and (item.reference, item.digest) not in needed
        }  # fmt: skip
        kept = tuple(item for item in items if (catalog.familiar(item), item.digest) not in doomed)
        still = {item.id for item in listed if (item.reference, item.digest) not in doomed}
        gone.extend(f"untagged {item.reference}" for item in doomed.values() if item.reference)
        gone.extend(f"deleted {image_id}" for image_id in dict.fromkeys(
            item.id for item in doomed.values() if item.id not in still))  # fmt: skip
        return kept

    store.index.update(change)
    freed = store.half_made()
    store.sweep()
    freed += Parts(store.blobs).forget() if partial else 0
    collected = usage.collect(store.layout, store.blobs, store.layers, store.index)
    return Pruned(tuple(gone), changed(collected, freed=collected.freed + freed))
