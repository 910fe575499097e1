"""Which files differ between two images, and which stored image another one was made from."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stackup.base.errors import ImageError
from stackup.base.values import frozen
from stackup.images.catalog import familiar
from stackup.images.lookup import Place, Stack
from stackup.images.streams import CHUNK

if TYPE_CHECKING:
    from stackup.images.image import Image
    from stackup.images.store import ImageStore

ADDED, CHANGED, REMOVED = "A", "C", "D"
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"


@frozen
class Difference:
    """``kind`` as in ``docker diff``. Sizes in bytes; ``before`` None for what is new, ``after`` for what is gone.
    ``why`` names what changed of a file that both have."""

    kind: str
    path: str
    before: int | None
    after: int | None
    why: str = ""


def compare(before: Image, after: Image) -> Iterator[Difference]:
    """By path. Times do not count. Both images must be unpacked."""
    one, other = Stack(before.overlays(None)), Stack(after.overlays(None))
    yield from _directory(one, other, one.find("/"), other.find("/"))


def _directory(one: Stack, other: Stack, here: Place, there: Place) -> Iterator[Difference]:
    names, others = set(one.names(here)), set(other.names(there))
    for name in sorted(names | others):
        before = one.child(here, name) if name in names else None
        after = other.child(there, name) if name in others else None
        if before is None and after is not None:
            yield from _alone(other, after, ADDED)
        elif after is None and before is not None:
            yield from _alone(one, before, REMOVED)
        elif before is not None and after is not None:
            yield from _both(one, other, before, after)


def _alone(stack: Stack, place: Place, kind: str) -> Iterator[Difference]:
    size = 0 if place.is_directory else os.lstat(place.paths[0]).st_size
    yield Difference(kind, place.path, size if kind == REMOVED else None, size if kind == ADDED else None)
    if place.is_directory:
        for name in stack.names(place):
            yield from _alone(stack, stack.child(place, name), kind)


def _both(one: Stack, other: Stack, before: Place, after: Place) -> Iterator[Difference]:
    if before.is_directory != after.is_directory:
        yield from _alone(one, before, REMOVED)
        yield from _alone(other, after, ADDED)
        return
    if before.paths[0] != after.paths[0]:
        info, there = os.lstat(before.paths[0]), os.lstat(after.paths[0])
        why = _why(before.paths[0], after.paths[0], info, there)
        if why:
            sizes = (0, 0) if before.is_directory else (info.st_size, there.st_size)
            yield Difference(CHANGED, before.path, *sizes, why)
    if before.is_directory and before.paths != after.paths:
        yield from _directory(one, other, before, after)


def _why(one: str, other: str, info: os.stat_result, there: os.stat_result) -> str:
    """In one word or a few, "" when they are the same."""
    found = []
    if stat.S_IFMT(info.st_mode) != stat.S_IFMT(there.st_mode):
        return "kind"
    if stat.S_ISLNK(info.st_mode):
        found += ["link"] if os.readlink(one) != os.readlink(other) else []
    elif stat.S_ISREG(info.st_mode):
        found += ["content"] if info.st_size != there.st_size or not _same(one, other) else []
    if stat.S_IMODE(info.st_mode) != stat.S_IMODE(there.st_mode):
        found.append("mode")
    if (info.st_uid, info.st_gid) != (there.st_uid, there.st_gid):
        found.append("owner")
    return ", ".join(found)


def _same(one: str, other: str) -> bool:
    with open(one, "rb") as first, open(other, "rb") as second:
        while chunk := first.read(CHUNK):
            if chunk != second.read(CHUNK):
                return False
    return True


@frozen
class Base:
    """``how``: "layers" (all layers of a stored image ``name`` are the lowest ones of this image), or "annotation" (its
    maker says so). ``layers`` counts those that are shared, of ``total``."""

    name: str
    digest: str
    how: str
    layers: int = 0
    total: int = 0


def bases(store: ImageStore, image: Image, manifest_notes: dict[str, str]) -> list[Base]:
    """What is known of the image's base, the nearest first: first by content, then by hearsay."""
    own = [layer.diff_id for layer in image.layers]
    found: dict[tuple[str, str], Base] = {}
    for item in store.index.read().manifests:
        try:
            manifest = store.manifest(item)
            config = store.config_file(manifest)
        except ImageError:  # a damaged image is nobody's base
            continue
        below = list(config.diff_ids)
        # Of two images with the same layers the older one is the base: steps like CMD and ENV make none.
        shorter = len(below) < len(own) or (below == own and config.created < image.created)
        if below and shorter and own[: len(below)] == below and manifest.config.digest != image.id:
            found[familiar(item), item.digest] = Base(familiar(item), item.digest, "layers", len(below), len(own))
    nearest = sorted(found.values(), key=lambda base: (-base.layers, base.name))
    said = {**image.config.labels, **manifest_notes}
    if said.get(BASE_NAME) or said.get(BASE_DIGEST):
        nearest.append(Base(said.get(BASE_NAME, ""), said.get(BASE_DIGEST, ""), "annotation", 0, len(own)))
    if image.host:
        nearest.append(Base("host", "", "annotation", 0, len(own)))
    return nearest
