"""Who still needs which layer: images by their manifests, containers by the overlays in their bundles."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from stackup.base.errors import ImageError
from stackup.base.files import locked, try_lock
from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.images.blobs import BlobStore
from stackup.images.index import ImageIndex
from stackup.images.layers import LayerStore, allocated
from stackup.oci import image as oci
from stackup.oci import reference as references
from stackup.oci.reference import is_digest

_NAMED = 5  # damaged images


def launches(layout: Layout) -> Iterator[tuple[str, str]]:
    """Pairs of a container's id and a text that names its lower directories, for all containers of all projects:
    launch records of those that were started, definitions from the records of those that were only created."""
    for database in layout.projects.glob("*/records.db"):
        yield from _definitions(database)
    for path in layout.projects.glob("*/containers/*/launch.json"):
        try:
            yield path.parent.name, path.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            continue


def _definitions(database: Path) -> Iterator[tuple[str, str]]:
    import sqlite3  # only where a project has records; costs more than all the rest here

    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            yield from connection.execute("SELECT id, definition FROM containers").fetchall()
    except sqlite3.Error:
        return


def images_used(layout: Layout) -> dict[str, str]:
    """Ids of the images that containers, running or not, were made from, and the short id of one such container. Others
    that share layers with them are not used: the layers stay all the same."""
    found = {}
    for who, text in launches(layout):
        try:
            found[json.loads(text).get("image_id", "")] = who[:12]
        except ValueError:
            continue
    return found


@frozen
class Collected:
    """``freed``: bytes of the disk. ``put_off`` says why nothing could be deleted, and ``remedy`` when it will be."""

    freed: int = 0
    put_off: str = ""
    remedy: str = ""


BUSY = Collected(put_off="an image is being brought in right now", remedy="the space is freed by the next prune")


def reachable(blobs: BlobStore, manifests: Iterable[str], *, damaged: bool = False) -> tuple[set[str], set[str]]:
    """Digests of all blobs, and diff ids of all layers, that these manifests lead to. Raises ImageError where one
    cannot be read; with ``damaged`` such a one leads nowhere."""
    digests: set[str] = set()
    diff_ids: set[str] = set()
    seen: set[tuple[str, bool]] = set()
    todo = [(digest, False) for digest in manifests]  # True: as a configuration, whatever else it looks like
    while todo:
        digest, is_config = todo.pop()
        if (digest, is_config) in seen or not is_digest(digest) or not blobs.has(digest):
            continue
        seen.add((digest, is_config))
        digests.add(digest)
        try:
            document = blobs.read_json(digest)
            if is_config:
                diff_ids |= set(oci.ConfigFile.from_json(document).diff_ids)
            else:
                below = children(document)
                todo += [(child, False) for child in below.manifests]
                todo += [(child, True) for child in below.configs]
                digests |= below.layers
        except (ImageError, ValueError) as error:
            if not damaged:
                raise ImageError(f"blob {digest} cannot be read") from error
    return digests, diff_ids


@frozen
class Children:
    """Digests."""

    manifests: set[str]
    configs: set[str]
    layers: set[str]


def children(document: dict[str, Any]) -> Children:
    """What an index or a manifest leads to; one that looks like both, as what it can be read. Raises ValueError."""
    found, wrong = Children(set(), set(), set()), list[ValueError]()
    kinds = [kind for key, kind in (("manifests", oci.Index), ("layers", oci.Manifest)) if key in document]
    for kind in kinds:
        try:
            read = kind.from_json(document)
        except ValueError as error:
            wrong.append(error)
            continue
        if isinstance(read, oci.Index):
            found.manifests.update(item.digest for item in read.manifests)
        else:
            found.configs.add(read.config.digest)
            found.layers.update(layer.digest for layer in read.layers)
    if wrong and len(wrong) == len(kinds):
        raise wrong[0]
    return found


def build_cache_layers(layout: Layout) -> set[str]:
    """Digests of layers that the build cache may use again: one record per step below ``build/steps``."""
    found = set()
    for path in (layout.build_cache / "steps").glob("*/*.json"):
        try:
            found.add(json.loads(path.read_bytes()).get("layer", ""))
        except (OSError, ValueError):
            continue
    return found


@contextmanager
def bringing_in(layout: Layout) -> Iterator[None]:
    """Held by imports and builds from their first blob until the index names the result: no collection meanwhile."""
    layout.claim()
    with locked(layout.images / ".busy", shared=True):
        yield


_WORKERS = {"stackup.build.worker": "a build", "stackup.images.worker": "a transfer"}


def bringing_in_now(layout: Layout) -> str:
    """Who holds ``bringing_in``, in words: "a build (process 42)"; "another command" where that cannot be told."""
    try:
        info = (layout.images / ".busy").stat()
        locks = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    except OSError:
        return "another command"
    held = {lock[5]: lock[4] for lock in locks if lock[1] == "FLOCK"}  # 1: FLOCK ADVISORY READ 42 fe:01:1234 0 EOF
    exact = f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}:{info.st_ino}"
    like = (place for place in held if place.endswith(f":{info.st_ino}"))  # some file systems have devices of their own
    pid = held.get(exact) or held.get(next(like, ""), "0")
    return f"{_kind_of(pid)} (process {pid})" if int(pid) > 0 else "another command"


def _kind_of(pid: str) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        words = []
    return next((_WORKERS[word] for word in words if word in _WORKERS), "another command")


def collect(layout: Layout, blobs: BlobStore, layers: LayerStore, index: ImageIndex) -> Collected:
    """Deletes blobs and unpacked layers that no image, no container and no cached build step needs. Puts it off while
    something is being brought in, and while a manifest cannot be read, so that nobody knows what it needs."""
    fd = try_lock(layout.images / ".busy")
    if fd is None:
        return BUSY
    freed = 0
    try:
        cached = build_cache_layers(layout)
        items = index.read().manifests
        try:
            digests, diff_ids = reachable(blobs, [item.digest for item in items])
        except ImageError as error:
            return _unknown(blobs, items, error)
        for name in os.listdir(blobs.directory) if blobs.directory.is_dir() else []:
            if f"sha256:{name}" not in digests | cached:
                freed += allocated(blobs.directory / name)
                (blobs.directory / name).unlink(missing_ok=True)
        layers.forget_pairs(keep=digests)
        doomed = [item for item in layers.diff_ids() if item not in diff_ids | cached]
        used = stood_on(layout)
        freed += layers.bury([item for item in doomed if str(layers.path(item)) not in used], lambda: stood_on(layout))
    finally:
        os.close(fd)
    return Collected(freed)


def _unknown(blobs: BlobStore, items: Iterable[oci.Descriptor], error: ImageError) -> Collected:
    """Nobody knows what a damaged image needs. Who can be named is: pulled again or removed, it hinders no more."""
    names = list[str]()
    for item in items:
        try:
            reachable(blobs, [item.digest])
        except ImageError:
            names.append(familiar_name(item) or item.digest[7:19])
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return Collected(
        put_off=f"nobody knows what is still needed: {error.message}, which belongs to {shown}",
        remedy=f"pull it again, or `stackup rmi {' '.join(names[:_NAMED])}`; then the next prune frees the space",
    )


def familiar_name(item: oci.Descriptor) -> str:
    """The name in the index as people write it; "" where there is none."""
    name = item.annotations.get(oci.REF_NAME, "")
    try:
        return references.parse(name).familiar if name else ""
    except ValueError:
        return name


def stood_on(layout: Layout) -> str:
    """A text that names every lower directory of every container."""
    return "\n".join(text for _, text in launches(layout))


def forget_build_cache(layout: Layout) -> None:
    """The next collection deletes the layers that only cached build steps needed. A build that is under way makes
    records again for what it has made."""
    for path in (layout.build_cache / "steps").glob("*/*.json"):
        path.unlink(missing_ok=True)
