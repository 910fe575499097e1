"""Which files differ between two images, and which stored image another one was made from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stackup.base.errors import ImageError
from stackup.base.foreign import shown
from stackup.base.values import frozen
from stackup.images import likeness
from stackup.images.catalog import familiar
from stackup.images.lookup import Place, Stack
from stackup.oci import reference as references

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
    """By path. Times do not count. Both images must be unpacked. Raises ImageError where the kernel cannot follow."""
    one, other = Stack(before.overlays(None)), Stack(after.overlays(None))
    try:
        yield from _flat(_directory(one, other, one.find("/"), other.find("/")))
    except OSError as error:
        where = f" ({shown(os.fsdecode(error.filename))})" if error.filename else ""
        raise ImageError(f"cannot compare the images: {error.strerror}{where}") from error


Steps = Iterator["Difference | Steps"]  # with those of a directory in their place


def _flat(first: Steps) -> Iterator[Difference]:
    """However deep it goes: a hostile image is deeper than Python calls."""
    todo = [first]
    while todo:
        item = next(todo[-1], None)
        if item is None:
            todo.pop()
        elif isinstance(item, Difference):
            yield item
        else:
            todo.append(item)


def _directory(one: Stack, other: Stack, here: Place, there: Place) -> Steps:
    names, others = set(one.names(here)), set(other.names(there))
    for name in sorted(names | others):
        before = one.child(here, name) if name in names else None
        after = other.child(there, name) if name in others else None
        if before is None and after is not None:
            yield _alone(other, after, ADDED)
        elif after is None and before is not None:
            yield _alone(one, before, REMOVED)
        elif before is not None and after is not None:
            yield _both(one, other, before, after)


def _alone(stack: Stack, place: Place, kind: str) -> Steps:
    size = _size(place)
    yield Difference(kind, place.path, size if kind == REMOVED else None, size if kind == ADDED else None)
    yield _below(stack, place, kind)


def _below(stack: Stack, place: Place, kind: str) -> Steps:
    if place.is_directory:
        for name in stack.names(place):
            yield _alone(stack, stack.child(place, name), kind)


def _size(place: Place) -> int:
    return 0 if place.is_directory else os.lstat(place.paths[0]).st_size


def _both(one: Stack, other: Stack, before: Place, after: Place) -> Steps:
    if before.paths[0] != after.paths[0]:
        words = [word for word, _ in likeness.differences(os.fsencode(before.paths[0]), os.fsencode(after.paths[0]))]
        if words:
            why = ", ".join(sorted(words, key=lambda word: word != "content"))
            yield Difference(CHANGED, before.path, _size(before), _size(after), why)
    if before.is_directory != after.is_directory:
        yield _below(one, before, REMOVED)
        yield _below(other, after, ADDED)
    elif before.is_directory and before.paths != after.paths:
        yield _directory(one, other, before, after)


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
    found: dict[str, Base] = {}  # by digest: a tag, a pin and an index's entry may all name the same one
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
            names = [familiar(item)] + ([found[item.digest].name] if item.digest in found else [])
            found[item.digest] = Base(min(names, key=_clumsy), item.digest, "layers", len(below), len(own))
    nearest = sorted(found.values(), key=lambda base: (-base.layers, base.name))
    said = {**image.config.labels, **manifest_notes}
    name, digest = said.get(BASE_NAME, ""), said.get(BASE_DIGEST, "")
    known = digest in found if digest else _familiar(name) in {base.name for base in nearest}
    if (name or digest) and not known:
        nearest.append(Base(name, digest, "annotation", 0, len(own)))
    if image.host:
        nearest.append(Base("host", "", "annotation", 0, len(own)))
    return nearest


def _clumsy(name: str) -> tuple[bool, bool]:
    """No name is worse than a pin, and that than a tag."""
    return not name, "@" in name


def _familiar(name: str) -> str:
    try:
        return references.parse(name).familiar if name else ""
    except ValueError:
        return name
