"""Makes a root file system an image: a tar archive in any compression, from a file or a pipe, or a directory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stackup.base.clock import now_ns, rfc3339
from stackup.base.diskroom import telling
from stackup.base.errors import ImageError
from stackup.images import diff
from stackup.images.image import Image
from stackup.images.limits import from_environment
from stackup.images.streams import CHUNK, Compression, DamagedLayer, Pump, decompressed
from stackup.images.tarstream import NO_ARCHIVE
from stackup.images.tree import Layer
from stackup.oci import image as oci

if TYPE_CHECKING:
    from stackup.images.store import ImageStore

Progress = Callable[[str], None]
_EMPTY = f"sha256:{hashlib.sha256().hexdigest()}"  # of no byte at all; an archive without entries has its end marker
_OTHERS = (  # what people take for an archive of a root file system: offset, magic, name
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"!<arch>\n", "a Debian package or an ar archive"),
    (0, b"\xed\xab\xee\xdb", "an RPM package"),
    (0, b"070701", "a cpio archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"hsqs", "a squashfs image"),
    (0, b"QFI\xfb", "a qcow2 disk image"),
    (0x8001, b"CD001", "an ISO image"),
    (0x438, b"\x53\xef", "a disk image with an ext file system"),
    (510, b"\x55\xaa", "a disk image"),
)


def import_rootfs(
    store: ImageStore,
    source: Path | BinaryIO,
    name: str,
    config: oci.ImageConfig,
    platform: oci.Platform,
    say: Progress,
    message: str = "",
    label: str = "",
) -> Image:
    """``ImageStore.import_rootfs`` behind its checks; the caller keeps collections away meanwhile."""
    label = label or (str(source) if isinstance(source, Path) else "the archive")
    with telling(f"import {label}", store.layout):
        return _import(store, source, name, config, platform, say, message, label)


def _import(
    store: ImageStore, source: Path | BinaryIO, name: str, config: oci.ImageConfig, platform: oci.Platform,
    say: Progress, message: str, label: str,
) -> Image:  # fmt: skip
    say(f"reading {label}")
    try:
        descriptor = _store_rootfs(store, source)
        say("unpacking")
        diff_id = _unpack(store, descriptor)
    except DamagedLayer as error:
        raise _refusal(label, error.reason, kind=_kind_of(source)) from None
    if diff_id == _EMPTY:
        raise _refusal(label, "it is empty")
    if _is_saved_image(store.layers.path(diff_id)):
        raise _refusal(label, "it is a saved image, not a root file system", "`stackup load` takes saved images")
    layer = Layer(diff_id, descriptor.digest, descriptor.media_type, descriptor.size, store.layers.path(diff_id))
    created = rfc3339(now_ns())
    history = (oci.History(created, f"stackup import {label}", message),)
    return store.put_image((layer,), oci.ConfigFile(platform, config, (diff_id,), history, created), name)


def _refusal(label: str, reason: str, hint: str = "", *, kind: str = "") -> ImageError:
    """In the words of somebody who sees one file; of a file that is no archive at all, with what it is instead."""
    if reason == NO_ARCHIVE:
        reason += f" but {kind}" if kind else ""
        hint = "import a tar archive (.gz, .xz, .bz2, .zst too) of a root file system, or its directory"
    return ImageError(f"cannot import {label}: {reason}", hint=hint)


def _kind_of(path: Path | BinaryIO) -> str:
    if not isinstance(path, Path):
        return ""
    try:
        with path.open("rb") as file:
            head = file.read(max(offset + len(magic) for offset, magic, _ in _OTHERS))
    except OSError:
        return ""
    return next((kind for offset, magic, kind in _OTHERS if head[offset : offset + len(magic)] == magic), "")


def _is_saved_image(path: Path) -> bool:
    """An archive of ``docker save``, or an OCI image layout."""
    names = {item.name for item in path.iterdir()}
    return "oci-layout" in names or ("manifest.json" in names and ("repositories" in names or "blobs" in names))


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
        diff_id = store.layers.unpack_new(Pump(decompressed(file, compression)))
    store.layers.note(descriptor.digest, diff_id)
    return diff_id


def _chunks(head: bytes, file: BinaryIO) -> Iterator[bytes]:
    """A pipe or a server may never come to an end."""
    bounds = from_environment()
    yield from bounds.watched(chain([head], iter(lambda: file.read(CHUNK), b"")), lambda: bounds.size)
