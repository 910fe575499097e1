"""What became of things that are here when they were sent to a registry: layers are compressed on their way, and an
image's manifest there is another one then.

Remembered below the cache, so that the next push finds in the registry what it has, a pull what is here already, and
``inspect`` the digest that the registry knows. Whoever deletes it loses time only.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from stackup.base.files import write_atomic
from stackup.images.streams import CHUNK
from stackup.oci import image as oci
from stackup.oci.reference import Reference

if TYPE_CHECKING:
    from stackup.images.store import ImageStore

_LAYERS, _PLAIN, _MANIFESTS = "pushed", "pushed/plain", "pushed/manifests"


def gzipped(file: BinaryIO) -> Iterator[bytes]:
    """The same bytes for the same content: no name, no time."""
    try:
        from isal import isal_zlib

        packer: Any = isal_zlib.compressobj(3, isal_zlib.DEFLATED, 31)
    except ImportError:
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    while chunk := file.read(CHUNK):
        if made := packer.compress(chunk):
            yield made
    yield packer.flush()


def remembered(store: ImageStore, layer: oci.Descriptor) -> oci.Descriptor | None:
    """What a layer became when it was compressed the last time."""
    try:
        return oci.Descriptor.from_json(json.loads(_record(store, _LAYERS, layer.digest).read_bytes()))
    except (OSError, ValueError):
        return None


def remember(store: ImageStore, layer: oci.Descriptor, made: oci.Descriptor) -> None:
    _write(_record(store, _LAYERS, layer.digest), made.to_json())
    _write(_record(store, _PLAIN, made.digest), {"digest": layer.digest})


def repacked(store: ImageStore, digest: str, media_type: str) -> bool:
    """Makes the blob of the layer that is here, if it was made of that once. False where that cannot be done again."""
    plain = _read(_record(store, _PLAIN, digest)).get("digest", "")
    if not plain or not store.blobs.has(plain):
        return False
    with store.blobs.path(plain).open("rb") as file:
        return store.blobs.put(gzipped(file), media_type).digest == digest


def remember_manifest(store: ImageStore, digest: str, reference: Reference, pushed: str) -> None:
    """That the image whose manifest is ``digest`` here is ``pushed`` in the reference's repository."""
    path, name = _record(store, _MANIFESTS, digest), reference.name
    before = _read(path)
    if before.get(name, digest) != pushed:
        _write(path, {**before, name: pushed})


def digest_there(store: ImageStore, digest: str, reference: Reference) -> str:
    """What the reference's repository calls the image whose manifest is ``digest`` here, as far as that is known."""
    return str(_read(_record(store, _MANIFESTS, digest)).get(reference.name, digest))


def _record(store: ImageStore, kind: str, digest: str) -> Path:
    return store.layout.cache / kind / f"{digest.removeprefix('sha256:')}.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, document: dict[str, Any]) -> None:
    os.makedirs(path.parent, exist_ok=True)
    write_atomic(path, json.dumps(document))
