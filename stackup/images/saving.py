"""Writes images where other tools read them: archives of ``docker save`` and the OCI, or an OCI layout directory.

All three are the same OCI image layout, blob for blob as they are stored, so that every digest stays what it is; the
one for docker has a ``manifest.json`` in addition, as docker's own have had since version 25.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from stackup.base.diskroom import telling
from stackup.base.errors import ImageError
from stackup.base.files import write_atomic
from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.images import diff, tarstream, usage
from stackup.images.describing import found
from stackup.images.index import ImageIndex
from stackup.images.store import host_platform, parse_reference
from stackup.images.streams import CHUNK
from stackup.oci import image as oci
from stackup.oci import platforms
from stackup.oci.reference import is_digest

if TYPE_CHECKING:
    from stackup.images.store import ImageStore

DOCKER_ARCHIVE, OCI_ARCHIVE, OCI_DIRECTORY = "docker-archive", "oci-archive", "oci-dir"
FORMATS = (DOCKER_ARCHIVE, OCI_ARCHIVE, OCI_DIRECTORY)
CONTAINERD_NAME = "io.containerd.image.name"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_INDEXES = (oci.INDEX, oci.DOCKER_INDEX)


@frozen
class Chosen:
    """``descriptor`` as it stands in the new index; ``manifest`` is that of the image for one platform."""

    descriptor: oci.Descriptor
    manifest: oci.Manifest
    name: str


@frozen
class Selection:
    """What is written: entries of the index, and the blobs below them, sorted."""

    images: tuple[Chosen, ...]
    blobs: tuple[str, ...]

    def index(self) -> bytes:
        return oci.dumps(oci.Index(tuple(item.descriptor for item in self.images)).to_json())

    def docker_manifest(self) -> bytes:
        """``manifest.json``: an entry an image, with all its names."""
        entries: dict[str, dict[str, Any]] = {}
        for item in self.images:
            config = item.manifest.config.digest
            entry = entries.setdefault(config, {
                "Config": _place(config),
                "RepoTags": [],
                "Layers": [_place(layer.digest) for layer in item.manifest.layers],
            })  # fmt: skip
            if item.name:
                entry["RepoTags"].append(parse_reference(item.name).familiar)
        return json.dumps([{**entry, "RepoTags": entry["RepoTags"] or None} for entry in entries.values()]).encode()


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def select(store: ImageStore, references: Iterable[str], platform: str = "") -> Selection:
    """Raises ImageError for what is not here, or not whole. Of an index, everything where everything is here, else the
    image for ``platform``, this machine's where none is given."""
    wanted = platforms.parse_platform(platform) if platform else None
    images: dict[tuple[str, str], Chosen] = {}
    blobs: set[str] = set()
    for reference in references:
        chosen, below = _choose(store, reference, wanted)
        images[chosen.name, chosen.descriptor.digest] = chosen
        blobs |= below
    missing = sorted(digest for digest in blobs if not store.blobs.has(digest))
    if missing:
        raise ImageError(f"cannot save: blob {missing[0]} is missing", hint="stackup images --verify")
    return Selection(tuple(images.values()), tuple(sorted(blobs)))


def _choose(store: ImageStore, reference: str, wanted: oci.Platform | None) -> tuple[Chosen, set[str]]:
    entry = found(store, reference, "save")
    stored = entry.annotations.get(oci.REF_NAME, "")
    name = stored if stored and _same_name(reference, stored) else ""
    notes = {oci.REF_NAME: name, CONTAINERD_NAME: name} if name else {}
    top = replace(entry, annotations=notes)
    if entry.media_type in _INDEXES:
        below = _all_blobs(store, entry.digest)
        if below is None or wanted is not None:
            child = _of_platform(store, entry, wanted or entry.platform or host_platform(), reference)
            top = replace(child, annotations=notes)
    manifest = store.manifest(top)
    config = store.config_file(manifest)
    if wanted is not None and not platforms.suits(config.platform, wanted):
        raise ImageError(f"cannot save '{reference}': it is not for {wanted}, only for {config.platform}")
    below = _all_blobs(store, top.digest)
    if below is None:
        raise ImageError(f"cannot save '{reference}': some of its content is missing", hint="stackup images --verify")
    return Chosen(top, manifest, name), below


def _same_name(reference: str, stored: str) -> bool:
    try:
        return str(parse_reference(reference)) == stored
    except ImageError:
        return False


def _of_platform(store: ImageStore, entry: oci.Descriptor, wanted: oci.Platform, reference: str) -> oci.Descriptor:
    offered = oci.Index.from_json(store.blobs.read_json(entry.digest)).manifests
    here = [item for item in offered if _all_blobs(store, item.digest) is not None]
    child = platforms.choose(here, wanted)
    if child is None:
        raise ImageError(f"cannot save '{reference}': there is none for {wanted} here, only {platforms.listed(here)}")
    return child


def _all_blobs(store: ImageStore, digest: str) -> set[str] | None:
    """The blob and all below it; None when one of them is not here."""
    below, read, todo = set[str](), set[str](), [digest]
    while todo:
        digest = todo.pop()
        if digest in read:
            continue
        if not is_digest(digest) or not store.blobs.has(digest):
            return None
        read.add(digest)
        document = store.blobs.read_json(digest)
        try:
            found = usage.children(document)
            todo += found.manifests
            below |= found.configs | found.layers
        except ValueError as error:
            raise ImageError(f"cannot save: manifest {digest} cannot be read: {error}") from None
    below |= read
    return below if all(is_digest(item) and store.blobs.has(item) for item in below) else None


# Archives


def archive(store: ImageStore, references: Sequence[str], form: str, platform: str = "") -> Iterator[bytes]:
    """The chunks of a tar archive; the same bytes for the same images."""
    with usage.bringing_in(store.layout):  # nothing of it is collected meanwhile
        selection = select(store, references, platform)
        yield _header("blobs/", tarstream.DIRECTORY) + _header("blobs/sha256/", tarstream.DIRECTORY)
        for digest in selection.blobs:
            yield from _member(store.blobs.path(digest), digest)
        yield _small("index.json", selection.index())
        if form == DOCKER_ARCHIVE:
            yield _small("manifest.json", selection.docker_manifest())
        yield _small("oci-layout", _LAYOUT)
        yield bytes(2 * tarstream.BLOCK)


def _header(name: str, kind: bytes, size: int = 0) -> bytes:
    mode = 0o755 if kind == tarstream.DIRECTORY else 0o644
    return diff.header(name.encode(), kind, os.stat_result((mode, *[0] * 9)), size=size)


def _small(name: str, data: bytes) -> bytes:
    return _header(name, tarstream.FILE, len(data)) + data + bytes(-len(data) % tarstream.BLOCK)


def _member(path: Path, digest: str) -> Iterator[bytes]:
    size = path.stat().st_size
    yield _header(_place(digest), tarstream.FILE, size)
    yield from _content(path, digest, size)
    yield bytes(-size % tarstream.BLOCK)


def _content(path: Path, digest: str, size: int) -> Iterator[bytes]:
    """Hashed on the way: whoever saves an image may delete it next."""
    left, state = size, hashlib.sha256()
    with path.open("rb") as file:
        while left:
            chunk = file.read(min(left, CHUNK))
            if not chunk:
                raise ImageError(f"cannot save: {path} became shorter while it was read")
            left -= len(chunk)
            state.update(chunk)
            yield chunk
    if f"sha256:{state.hexdigest()}" != digest:
        raise ImageError(
            f"cannot save: blob {digest} is damaged",
            hint="`stackup images --verify` says which images need it, and how to get them back",
        )


def to_directory(store: ImageStore, references: Sequence[str], target: Path, platform: str = "") -> Selection:
    """Adds the images to the OCI layout in ``target``, which is made where it is not there: blobs first, their names
    last. Names that it has already move."""
    with telling(f"save to {target}", store.layout, target):
        return _to_directory(store, references, target, platform)


def _to_directory(store: ImageStore, references: Sequence[str], target: Path, platform: str) -> Selection:
    if target.exists() and not target.is_dir():
        raise ImageError(f"cannot save to {target}: it is not a directory")
    strangers = target.is_dir() and any(not path.name.startswith(".oci-layout.") for path in target.iterdir())
    if strangers and not (target / "oci-layout").exists():
        raise ImageError(f"cannot save to {target}: it is neither empty nor an OCI image layout")
    with usage.bringing_in(store.layout):
        selection = select(store, references, platform)
        target.mkdir(parents=True, exist_ok=True)
        write_atomic(target / "oci-layout", _LAYOUT)  # first: a repeat after a crash sees whose directory it is
        blobs = target / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        for digest in selection.blobs:
            place = target / _place(digest)
            if not place.exists():
                _copy(store.blobs.path(digest), place, digest)
    index = ImageIndex(target)
    for item in selection.images:
        if item.name:
            index.set(item.name, item.descriptor)
        else:
            index.add(item.descriptor)
    for name in (".lock", ".spare"):
        (target / name).unlink(missing_ok=True)
    return selection


def _copy(source: Path, target: Path, digest: str) -> None:
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        with temporary.open("wb") as copy:
            for chunk in _content(source, digest, source.stat().st_size):
                copy.write(chunk)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def to_file(chunks: Iterable[bytes], target: Path, layout: Layout) -> None:
    """Whole or not at all; what was there is replaced at the end. Devices and pipes are written to directly."""
    if target.is_dir():
        raise ImageError(f"cannot write {target}: it is a directory", hint=f"{target}/NAME.tar would be a file in it")
    with telling(f"write {target}", layout, target):
        _to_file(chunks, target)


def _to_file(chunks: Iterable[bytes], target: Path) -> None:
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with _fresh(temporary) as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            if not temporary.exists():
                # With a directory's descriptor, which an absolute path does not need, Python takes linkat and follows.
                os.link(f"/proc/self/fd/{file.fileno()}", temporary, src_dir_fd=file.fileno(), follow_symlinks=True)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _fresh(path: Path) -> BinaryIO:
    """A file that has no name until it is whole, so that nothing stays of it when this process is killed; ``path``
    itself where the file system has no such files."""
    try:
        return open(os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666), "wb")
    except OSError:
        return path.open("xb")
