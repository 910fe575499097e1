"""Takes images out of archives of ``docker save`` (old and new form), ``skopeo``, ``podman save`` and the OCI, or out
of an OCI layout directory.

One pass over the stream, so that a pipe will do: blobs are stored as they come, under the digest of what they really
are, and only at the end is looked at who needs which. What nobody needs is collected. Names come last: a killed load
leaves no image, and a repeat finds the blobs that are there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from stackup.base.diskroom import telling
from stackup.base.errors import ImageError, ImageNameError
from stackup.base.foreign import shown
from stackup.base.jsontext import parse_json
from stackup.base.values import frozen
from stackup.images import tarstream, usage
from stackup.images.saving import CONTAINERD_NAME
from stackup.images.store import host_platform, is_host, parse_reference, reserved
from stackup.images.streams import CHUNK, Compression, DamagedLayer, Pump, decompressed
from stackup.images.tarstream import TarError, TarStream
from stackup.oci import image as oci
from stackup.oci import platforms
from stackup.oci.reference import is_digest

if TYPE_CHECKING:
    from stackup.images.store import ImageStore

Say = Callable[[str], None]
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})\Z")
_MAX_JSON = 16 << 20
_MAX_NAMES = 64 << 20  # bytes of all names together
_PADDING = 64 << 20  # bytes after an archive's end that a pipe is rid of
_DOCUMENTS = ("index.json", "manifest.json", "oci-layout")
_INDEXES = (oci.INDEX, oci.DOCKER_INDEX)
_NO_NAME = re.compile(r"(latest|v?[0-9][A-Za-z0-9_.-]*)\Z")  # a tag alone, as skopeo writes it; not an image's name


@frozen
class Loaded:
    """``names`` as people write them; empty for an image that has none."""

    id: str
    names: tuple[str, ...]


class _Arrived:
    """What an archive held: its documents, and the digest behind every other name."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.digests: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self._room = _MAX_NAMES

    def count(self, *names: str) -> None:
        """Names are kept until the end, and somebody else chose how many there are, and how long."""
        self._room -= sum(100 + len(name) for name in names)
        if self._room < 0:
            raise ImageError("cannot load the archive: there are too many names in it")

    def digest(self, name: str) -> str:
        """Of a member, through the links that old archives use for layers that occur twice."""
        seen = set()
        path = posixpath.normpath(name)
        while path in self.links and path not in seen:
            seen.add(path)
            path = self.links[path]
        if path not in self.digests:
            raise ImageError(f"cannot load the archive: '{shown(name)}' is missing in it")
        return self.digests[path]


def load(
    store: ImageStore, source: Path | BinaryIO, *, platform: str = "", say: Say = lambda _text: None
) -> list[Loaded]:
    """Raises ImageError; nothing of it is kept then. ``platform``: of images for several, the one to use."""
    label = source if isinstance(source, Path) else "the archive"
    store.sweep()
    try:
        with telling(f"load {label}", store.layout), usage.bringing_in(store.layout):
            found = _Loader(store, platform, say).run(source)
    except (TarError, DamagedLayer) as error:
        reason = error.reason if isinstance(error, DamagedLayer) else str(error)
        raise ImageError(f"cannot load {label}: {reason}") from None
    finally:
        usage.collect(store.layout, store.blobs, store.layers, store.index)
    return found


class _Loader:
    def __init__(self, store: ImageStore, platform: str, say: Say) -> None:
        self._store = store
        self._explicit = bool(platform)
        self._platform = platforms.parse_platform(platform) if platform else host_platform()
        self._say = say

    def run(self, source: Path | BinaryIO) -> list[Loaded]:
        if isinstance(source, Path) and source.is_dir():
            arrived = self._from_directory(source)
        elif isinstance(source, Path):
            with source.open("rb") as file:
                arrived = self._from_archive(file)
        else:
            arrived = self._from_archive(source)
        entries = list(self._entries(arrived))
        if not entries:
            raise ImageError("cannot load the archive: there is no image in it")
        self._check(entries)
        ids = [self._unpack(descriptor) for descriptor, _ in entries]
        found: dict[str, Loaded] = {}
        for image_id, (descriptor, names) in zip(ids, entries, strict=True):
            for name in names:
                self._store.index.set(name, descriptor)
            if not names:
                self._store.index.add(descriptor)
            before = found.get(image_id, Loaded(image_id, ())).names
            shown = (parse_reference(name).familiar for name in names)
            found[image_id] = Loaded(image_id, tuple(dict.fromkeys((*before, *shown))))
        return list(found.values())

    # What is in it

    def _from_directory(self, source: Path) -> _Arrived:
        arrived = _Arrived()
        for name in _DOCUMENTS:
            if _is_own_file(source / name, source):
                with (source / name).open("rb") as file:
                    arrived.documents[name] = file.read(_MAX_JSON + 1)
                if len(arrived.documents[name]) > _MAX_JSON:
                    raise ImageError(f"cannot load {source}: its {name} has more than {_MAX_JSON >> 20} MiB")
        if not arrived.documents:
            raise ImageError(
                f"cannot load {source}: it is neither an OCI image layout nor an unpacked archive of docker save",
                hint="`stackup import` makes an image of a root file system",
            )
        for path in sorted(source.rglob("*")):
            name = path.relative_to(source).as_posix()
            if _is_own_file(path, source) and name not in _DOCUMENTS:
                arrived.count(name)
                with path.open("rb") as file:
                    self._store_member(arrived, name, iter(lambda: file.read(CHUNK), b""))
        return arrived

    def _from_archive(self, file: BinaryIO) -> _Arrived:
        head = _Headed(file)
        if not head.head:
            raise ImageError("cannot load the archive: it is empty")
        arrived = _Arrived()
        with Pump(decompressed(head, Compression.of(head.head))).running() as pump:
            stream = TarStream(pump.reader.read, pump.reader.some)
            for entry in stream:
                self._member(arrived, entry, stream)
            left = _PADDING
            while left > 0 and (padding := pump.reader.some(CHUNK)):  # the other end of a pipe wants to be rid of it
                left -= len(padding)
        if not arrived.documents:
            raise ImageError(
                "cannot load the archive: there is no manifest.json and no index.json in it",
                hint="`stackup import` makes an image of a root file system",
            )
        return arrived

    def _member(self, arrived: _Arrived, entry: tarstream.Entry, stream: TarStream) -> None:
        name = posixpath.normpath(entry.name.decode("utf-8", "surrogateescape")).removeprefix("/")
        arrived.count(name)
        if entry.kind in (tarstream.SYMLINK, tarstream.HARDLINK):
            target = entry.link.decode("utf-8", "surrogateescape")
            arrived.count(target)
            base = posixpath.dirname(name) if entry.kind == tarstream.SYMLINK else ""
            arrived.links[name] = posixpath.normpath(posixpath.join(base, target))
        elif entry.kind == tarstream.FILE and entry.sparse is not None:
            raise ImageError(f"cannot load the archive: '{shown(name)}' is a sparse file")
        elif entry.kind == tarstream.FILE and name in _DOCUMENTS:
            if entry.size > _MAX_JSON:
                raise ImageError(f"cannot load the archive: its {name} has {entry.size} bytes")
            arrived.documents[name] = b"".join(stream.chunks())
        elif entry.kind == tarstream.FILE:
            if entry.size > CHUNK:
                self._say(f"reading {shown(name.removeprefix('blobs/sha256/')[:12])}, {entry.size / 1e6:.0f} MB")
            self._store_member(arrived, name, (bytes(chunk) for chunk in stream.chunks()))

    def _store_member(self, arrived: _Arrived, name: str, chunks: Iterator[bytes]) -> None:
        stored = self._store.blobs.put(chunks, "")
        match = _BLOB.match(name)
        if match and stored.digest != f"sha256:{match[1]}":
            raise ImageError(f"cannot load the archive: {name} is damaged: its content is {stored.digest}")
        arrived.digests[name] = stored.digest

    # What of it are images

    def _entries(self, arrived: _Arrived) -> Iterator[tuple[oci.Descriptor, list[str]]]:
        """Places in the index, each with the canonical names that are to stand for it."""
        listed = _json_list(arrived, "manifest.json")
        if "index.json" not in arrived.documents:
            for item in listed:
                yield self._converted(arrived, item), _names_of(item)
            return
        tags = {self._config_digest(arrived, item): _names_of(item) for item in listed}
        try:
            document = parse_json(arrived.documents["index.json"])
            if not isinstance(document, dict):
                raise ValueError("it is not a JSON object")
            index = oci.Index.from_json(document)
        except ValueError as error:
            raise ImageError(f"cannot load the archive: its index.json cannot be read: {error}") from None
        for descriptor in index.manifests:
            if not self._store.blobs.has(descriptor.digest):
                raise ImageError(f"cannot load the archive: manifest {descriptor.digest} is missing in it")
            names = _annotated(descriptor)
            if not names and tags:
                names = tags.get(self._manifest(descriptor).config.digest, [])
            platform = self._platform if descriptor.media_type in _INDEXES and self._explicit else descriptor.platform
            yield replace(descriptor, annotations={}, platform=platform), names

    def _config_digest(self, arrived: _Arrived, item: dict[str, Any]) -> str:
        return arrived.digest(str(item.get("Config", "")))

    def _manifest(self, descriptor: oci.Descriptor) -> oci.Manifest:
        return self._store.manifest(descriptor)

    def _converted(self, arrived: _Arrived, item: dict[str, Any]) -> oci.Descriptor:
        """An OCI manifest for an entry of an old ``manifest.json``, which knows no digests."""
        blobs = self._store.blobs
        config = self._config_digest(arrived, item)
        layers = []
        for name in _texts(item, "Layers"):
            path = blobs.path(arrived.digest(name))
            with path.open("rb") as file:
                media_type = Compression.of(file.read(6)).media_type
            digest = f"sha256:{path.name}"
            layers.append(oci.Descriptor(media_type or oci.LAYER, digest, path.stat().st_size))
        stored = oci.Descriptor(oci.CONFIG, config, blobs.path(config).stat().st_size)
        manifest = oci.Manifest(stored, tuple(layers))
        platform = self._store.config_file(manifest).platform
        return replace(blobs.put_json(manifest.to_json(), oci.MANIFEST), platform=platform)

    # Into the store

    def _check(self, entries: list[tuple[oci.Descriptor, list[str]]]) -> None:
        """Before the first name is given: the archive is whole, and for this machine or the platform asked for."""
        for descriptor, _ in entries:
            manifest = self._manifest(descriptor)
            config = self._store.config_file(manifest)
            if self._explicit and not platforms.suits(config.platform, self._platform):
                raise ImageError(f"cannot load the archive: its image is for {config.platform}, not {self._platform}")
            for layer in manifest.layers:
                if not is_digest(layer.digest) or not self._store.blobs.has(layer.digest):
                    raise ImageError(f"cannot load the archive: layer {layer.digest} is missing in it")
                size = self._store.blobs.path(layer.digest).stat().st_size
                if size != layer.size:
                    raise ImageError(
                        f"cannot load the archive: layer {layer.digest} has {size} bytes, and not {layer.size}"
                    )

    def _unpack(self, descriptor: oci.Descriptor) -> str:
        image = self._store.image(descriptor, descriptor.digest)
        for number, layer in enumerate(image.layers, 1):
            if not self._store.layers.has(layer.digest, layer.diff_id):
                self._say(f"unpacking layer {number}/{len(image.layers)}")
            blob = oci.Descriptor(layer.media_type, layer.digest, layer.size)
            self._store.layers.ensure(blob, layer.diff_id, self._store.blobs)
        return image.id


def _is_own_file(path: Path, source: Path) -> bool:
    """Old archives, unpacked, have links to layers that occur twice; one that leads out is an attempt to get at files
    of this machine."""
    if not path.is_symlink():
        return path.is_file()
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):  # to nothing, or in a circle
        return False
    if not real.is_relative_to(source.resolve()):
        name = shown(str(path.relative_to(source)))
        raise ImageError(
            f"cannot load {source}: '{name}' is a link that leads out of it",
            hint="The directory may be hostile; nothing of it was kept.",
        )
    return real.is_file()


class _Headed:
    """A stream whose first bytes were looked at."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.head = file.read(CHUNK)
        self._unread = self.head

    def read(self, size: int) -> bytes:
        if self._unread:
            data, self._unread = self._unread[:size], self._unread[size:]
            return data
        return self._file.read(size)


def _json_list(arrived: _Arrived, name: str) -> list[dict[str, Any]]:
    try:
        found = parse_json(arrived.documents.get(name, b"[]"))
    except ValueError as error:
        raise ImageError(f"cannot load the archive: its {name} is not JSON: {error}") from None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ImageError(f"cannot load the archive: its {name} is not a list of images")
    return found


def _names_of(item: dict[str, Any]) -> list[str]:
    return [_canonical(text) for text in _texts(item, "RepoTags")]


def _texts(item: dict[str, Any], key: str) -> list[str]:
    found = item.get(key) or []
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ImageError(f"cannot load the archive: {key} in its manifest.json is not a list of names")
    return found


def _annotated(descriptor: oci.Descriptor) -> list[str]:
    """The whole name that containerd, docker and podman put there; or what skopeo took from its command line."""
    whole = descriptor.annotations.get(CONTAINERD_NAME, "")
    text = whole or descriptor.annotations.get(oci.REF_NAME, "")
    return [] if not text or (not whole and _NO_NAME.match(text)) else [_canonical(text)]


def _canonical(text: str) -> str:
    try:
        name = parse_reference(text)
    except ImageNameError as error:
        raise ImageError(f"cannot load the archive: {error.message}") from None
    if is_host(text) or text == "scratch":
        raise ImageError(f"cannot load an image named '{text}': the name is built in")
    if reason := reserved(name):
        raise ImageError(f"cannot load an image named '{text}': {reason}")
    return str(name.without_digest() if name.tag else replace(name, digest="", tag="latest"))
