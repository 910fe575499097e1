"""How much of the disk images, containers, volumes and the build cache take up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.images import usage
from stackup.images.catalog import Listed, listed
from stackup.images.layers import allocated
from stackup.images.partial import Parts

if TYPE_CHECKING:
    from stackup.images.store import ImageStore

_SOURCES = ("http", "git", "contexts")  # below the build cache


@frozen
class ImageUse:
    """Bytes on the disk: blobs, unpacked layers, and in ``partial`` what broke off half-made, or is being pulled;
    ``reclaimable``: what ``prune -a`` would free."""

    images: tuple[Listed, ...]
    total: int
    active: int
    size: int
    reclaimable: int
    partial: int = 0


def image_use(store: ImageStore) -> ImageUse:
    found = listed(store)
    cached = usage.build_cache_layers(store.layout)
    sizes = {f"sha256:{path.name}": allocated(path) for path in _files(store)}
    unpacked = {diff_id: allocated(store.layers.path(diff_id)) for diff_id in store.layers.diff_ids()}
    kept = usage.reachable(store.blobs, [item.digest for item in found if item.used], damaged=True)
    stood_on = "\n".join(text for _, text in usage.launches(store.layout))
    needed = sum(size for digest, size in sizes.items() if digest in kept[0] | cached)
    needed += sum(
        size
        for diff_id, size in unpacked.items()
        if diff_id in kept[1] | cached or str(store.layers.path(diff_id)) in stood_on
    )
    total = sum(sizes.values()) + sum(unpacked.values())
    ids = {item.id: item.used for item in found}
    half = store.half_made()
    partial, idle = (size + half for size in Parts(store.blobs).sizes())
    return ImageUse(tuple(found), len(ids), sum(ids.values()), total + partial, total - needed + idle, partial)


@frozen
class CacheUse:
    """What builds keep, in bytes of the disk: layers that only cached ``steps`` need, the ``mounts`` of
    RUN --mount=type=cache, and sources (downloads, checkouts), which prune leaves to their age."""

    steps: int = 0
    layer_bytes: int = 0
    mounts: int = 0
    mount_bytes: int = 0
    source_bytes: int = 0


def build_cache_use(store: ImageStore) -> CacheUse:
    cached = usage.build_cache_layers(store.layout) - {""}
    manifests = [item.digest for item in store.index.read().manifests]
    digests, diff_ids = usage.reachable(store.blobs, manifests, damaged=True)
    own = [digest for digest in cached if digest not in digests]
    size = sum(allocated(store.blobs.path(digest)) for digest in own if store.blobs.has(digest))
    size += sum(allocated(store.layers.path(digest)) for digest in cached - diff_ids)
    cache = store.layout.build_cache
    mounts = cache_mounts(store.layout)
    sources = sum(allocated(path) for name in _SOURCES for path in _entries(cache / name))
    steps = len(list((cache / "steps").glob("*/*.json")))
    return CacheUse(steps, size, len(mounts), sum(mounts.values()), sources)


def cache_mounts(layout: Layout) -> dict[str, int]:
    """The caches of RUN --mount=type=cache, by the names of their directories, and their bytes."""
    return {path.name: allocated(path) for path in _entries(layout.build_cache / "mounts")}


def _entries(directory: Path) -> list[Path]:
    return [path for path in directory.glob("*") if not path.name.startswith(".")]


def _files(store: ImageStore) -> list[Path]:
    directory = store.blobs.directory
    return list(directory.iterdir()) if directory.is_dir() else []
