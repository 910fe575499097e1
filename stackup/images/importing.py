"""Makes a root file system an image: a tar archive in any compression, from a file or a pipe, or a directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stackup.base.clock import now_ns, rfc3339
from stackup.base.errors import ImageError
from stackup.images import diff
from stackup.images.image import Image
from stackup.images.streams import CHUNK, Compression, Pump, decompressed
from stackup.images.tree import Layer
from stackup.oci import image as oci

if TYPE_CHECKING:
    from stackup.images.store import ImageStore

Progress = Callable[[str], None]


def import_rootfs(
    store: ImageStore,
    source: Path | BinaryIO,
    name: str,
    config: oci.ImageConfig,
    platform: oci.Platform,
    say: Progress,
) -> Image:
    """``ImageStore.import_rootfs`` behind its checks; the caller keeps collections away meanwhile."""
    label = source if isinstance(source, Path) else "the archive"
    say(f"reading {label}")
    try:
        descriptor = _store_rootfs(store, source)
    except OSError as error:
        raise ImageError(f"cannot import {label}: {error.strerror or error}") from error
    say("unpacking")
    diff_id = _unpack(store, descriptor)
    layer = Layer(diff_id, descriptor.digest, descriptor.media_type, descriptor.size, store.layers.path(diff_id))
    created = rfc3339(now_ns())
    history = (oci.History(created, f"stackup import {label}"),)
    return store.put_image((layer,), oci.ConfigFile(platform, config, (diff_id,), history, created), name)


def _store_rootfs(store: ImageStore, source: Path | BinaryIO) -> oci.Descriptor:
    if isinstance(source, Path):
        if source.is_dir():
            return store.blobs.put(diff.layer_tar(source, overlay=False), oci.LAYER)
        with source.open("rb") as file:
            return _store_archive(store, file)
    return _store_archive(store, source)


def _store_archive(store: ImageStore, file: BinaryIO) -> oci.Descriptor:
    """A compression that the OCI knows is kept as it is, so that the blob's digest is the file's."""
    head = file.read(CHUNK)
    compression = Compression.of(head)
    if compression.media_type:
        return store.blobs.put(_chunks(head, file), compression.media_type)
    with store.blobs.workroom.file() as temporary:
        with temporary.open("wb") as copy:
            for chunk in _chunks(head, file):
                copy.write(chunk)
        with temporary.open("rb") as copy:
            return store.blobs.put(decompressed(copy, compression), oci.LAYER)


def _unpack(store: ImageStore, descriptor: oci.Descriptor) -> str:
    with store.blobs.path(descriptor.digest).open("rb") as file:
        compression = Compression.of(file.read(6))
        file.seek(0)
        return store.layers.unpack_new(Pump(decompressed(file, compression)))


def _chunks(head: bytes, file: BinaryIO) -> Iterator[bytes]:
    yield head
    while chunk := file.read(CHUNK):
        yield chunk
