"""Sends an image of the store to its registry: what is not there yet of blobs, then the manifest under its name.

Layers that are kept uncompressed (imports, builds) are compressed on the way; what came out is remembered, so that the
next push knows beforehand whether the registry has it. The image keeps its id; its manifest there is another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from stackup.base.errors import ImageError
from stackup.base.values import frozen
from stackup.images import usage
from stackup.images.diff import digest_of
from stackup.images.fetching import Breaks
from stackup.images.meter import COMPRESSING, DONE, HERE, MOUNTED, SHORT, UPLOADING, Meter, Tell
from stackup.images.pulling import AT_ONCE, first_error
from stackup.images.pushed import gzipped, remember, remember_manifest, remembered
from stackup.images.registry.access import Registries
from stackup.images.registry.client import Manifest, Repository
from stackup.images.registry.errors import Broken, NotThere, RegistryError
from stackup.images.store import ImageStore, is_host, parse_reference
from stackup.oci import image as oci
from stackup.oci.reference import Reference

SMALL = 4 << 20  # bytes of a blob that go in one request; others are continued where they broke
_PLAIN = {oci.LAYER: oci.LAYER_GZIP, "application/vnd.docker.image.rootfs.diff.tar": oci.DOCKER_LAYER_GZIP}
_INDEXES = (oci.INDEX, oci.DOCKER_INDEX)


@frozen
class Pushed:
    """``digest`` is that of the manifest as the registry has it now."""

    reference: str
    digest: str
    size: int


def push(store: ImageStore, text: str, registries: Registries, tell: Tell) -> Pushed:
    """Raises RegistryError and ImageError."""
    if is_host(text):
        raise ImageError("cannot push 'host': it is built in and stays on this machine")
    reference = parse_reference(text)
    if reference.digest:
        raise ImageError(f"cannot push {reference.familiar}: name a tag; the digest follows from the content")
    descriptor = store.index.find(str(reference))
    if descriptor is None:
        raise ImageError(
            f"cannot push {reference.familiar}: there is no such image here",
            hint="`stackup images -a` lists those that are; `stackup tag` gives one another name",
        )
    try:
        with usage.bringing_in(store.layout):  # no collection takes away what is being read
            return _Push(store, reference, registries, Meter(tell)).run(descriptor)
    except RegistryError as error:
        raise error.about_image("push", reference.familiar) from None


class _Push:
    def __init__(self, store: ImageStore, reference: Reference, registries: Registries, meter: Meter) -> None:
        self._store = store
        self._reference = reference
        self._meter = meter
        self._registries = registries
        registries.say = meter.say
        self._repository = registries.repositories(reference, push=True)[0]
        self._sender = Sender(store, self._repository, registries, meter, _neighbours(store, reference))

    def run(self, descriptor: oci.Descriptor) -> Pushed:
        whole = self._children(descriptor)
        if whole is None:
            manifest = self._image(self._store.manifest(descriptor), self._digest_of(descriptor))
        else:
            for child in whole:
                manifest = self._image(self._store.manifest(replace(child, platform=None)), child.digest, keep=True)
                self._repository.put_manifest(manifest.digest, manifest)
            manifest = self._stored(descriptor)
        self._repository.put_manifest(self._reference.tag, manifest)
        remember_manifest(self._store, descriptor.digest, self._reference, manifest.digest)
        return Pushed(self._reference.familiar, manifest.digest, len(manifest.data))

    def _children(self, descriptor: oci.Descriptor) -> tuple[oci.Descriptor, ...] | None:
        """The images of an index all of which are here; None for one image."""
        if descriptor.media_type not in _INDEXES:
            return None
        index = oci.Index.from_json(self._store.blobs.read_json(descriptor.digest))
        if all(self._has_all(item) for item in index.manifests):
            return index.manifests
        self._meter.say("only the image of one platform is here; that one is pushed")
        return None

    def _has_all(self, item: oci.Descriptor) -> bool:
        blobs = self._store.blobs
        if not blobs.has(item.digest) or item.media_type in _INDEXES:
            return False
        manifest = oci.Manifest.from_json(blobs.read_json(item.digest))
        return all(blobs.has(part.digest) for part in (manifest.config, *manifest.layers))

    def _digest_of(self, descriptor: oci.Descriptor) -> str:
        """Of the image's own manifest, where ``descriptor`` may be that of an index."""
        if descriptor.media_type not in _INDEXES:
            return descriptor.digest
        index = oci.Index.from_json(self._store.blobs.read_json(descriptor.digest))
        wanted = self._store.manifest(descriptor)
        same = (item for item in index.manifests if self._store.blobs.has(item.digest))
        return next(item.digest for item in same if self._store.manifest(replace(item, platform=None)) == wanted)

    def _stored(self, descriptor: oci.Descriptor) -> Manifest:
        return Manifest(descriptor.media_type, descriptor.digest, self._store.blobs.read(descriptor.digest))

    def _image(self, manifest: oci.Manifest, digest: str, *, keep: bool = False) -> Manifest:
        """Sends all blobs of one image; answers its manifest as the registry is to have it."""
        layers = {layer.digest: layer for layer in manifest.layers}
        for layer in layers.values():
            self._meter.add(layer.digest, layer.size)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="layer") as pool:
            futures = {name: pool.submit(self._sender.layer, layer, keep=keep) for name, layer in layers.items()}
            first_error(list(futures.values()), self._registries.end)
        sent = tuple(futures[layer.digest].result() for layer in manifest.layers)
        self._sender.blob(manifest.config)
        if sent == manifest.layers:
            return self._stored(oci.Descriptor(manifest.media_type, digest, 0))
        data = oci.dumps(replace(manifest, layers=sent).to_json())
        return Manifest(manifest.media_type, digest_of(data), data)


def _neighbours(store: ImageStore, reference: Reference) -> dict[str, str]:
    """Digests of blobs that other repositories of the same registry had, or got, and the repository's path."""
    found: dict[str, str] = {}
    for name, descriptor in store.index.names().items():
        other = parse_reference(name)
        if other.domain != reference.domain or other.path == reference.path:
            continue
        try:
            manifest = store.manifest(descriptor)
        except ImageError:
            continue
        for layer in manifest.layers:
            found.setdefault(layer.digest, other.path)
            if (made := remembered(store, layer)) is not None:
                found.setdefault(made.digest, other.path)
    return found


class Sender:
    """Uploads blobs to one repository, from any thread."""

    def __init__(
        self,
        store: ImageStore,
        repository: Repository,
        registries: Registries,
        meter: Meter,
        neighbours: dict[str, str],
    ) -> None:
        self._store = store
        self._repository = repository
        self._registries = registries
        self._meter = meter
        self._neighbours = neighbours

    def layer(self, layer: oci.Descriptor, *, keep: bool = False) -> oci.Descriptor:
        """Answers it as it is there: compressed, unless it has to ``keep`` its digest."""
        if keep or layer.media_type not in _PLAIN:
            self._send(layer, layer.digest, self._store.blobs.path(layer.digest))
            return layer
        known = remembered(self._store, layer)
        if known is not None and self._there(known.digest, layer.digest):
            return known
        self._meter.state(layer.digest, COMPRESSING)
        with self._compressed(layer) as (made, path):
            self._meter.resize(layer.digest, made.size)
            self._send(made, layer.digest, path)
        return made

    def blob(self, descriptor: oci.Descriptor) -> None:
        self._send(descriptor, descriptor.digest, self._store.blobs.path(descriptor.digest))

    def _there(self, digest: str, shown: str) -> bool:
        if self._repository.has_blob(digest):
            self._meter.state(shown, HERE, "already there")
            return True
        source = self._neighbours.get(digest)
        if source is None:
            return False
        try:
            upload = self._repository.mount(digest, source)
        except RegistryError:
            return False
        if upload:  # the registry cannot, or may not; its upload runs out by itself
            return False
        self._meter.state(shown, MOUNTED, f"taken over from {source}")
        return True

    def _send(self, descriptor: oci.Descriptor, shown: str, path: Path) -> None:
        if self._there(descriptor.digest, shown):
            return
        self._meter.state(shown, UPLOADING)
        with path.open("rb") as file:
            Upload(self._repository, self._registries, descriptor, file, self._meter, shown).run()
        self._meter.state(shown, DONE, "pushed")

    @contextmanager
    def _compressed(self, layer: oci.Descriptor) -> Iterator[tuple[oci.Descriptor, Path]]:
        """A temporary file; reproducible, so that the next push of the same layer finds it there."""
        blobs = self._store.blobs
        with blobs.workroom.file() as path:
            with blobs.path(layer.digest).open("rb") as source, path.open("wb") as target:
                for chunk in gzipped(source):
                    target.write(chunk)
            with path.open("rb") as packed:
                digest = f"sha256:{hashlib.file_digest(packed, 'sha256').hexdigest()}"
            made = oci.Descriptor(_PLAIN[layer.media_type], digest, path.stat().st_size)
            remember(self._store, layer, made)
            yield made, path


class Upload:
    """One blob. A connection that breaks is taken up where the registry says it has come to."""

    def __init__(
        self,
        repository: Repository,
        registries: Registries,
        descriptor: oci.Descriptor,
        file: BinaryIO,
        meter: Meter,
        shown: str,
    ) -> None:
        self._repository = repository
        self._registries = registries
        self._descriptor = descriptor
        self._file = file
        self._meter = meter
        self._shown = shown

    def run(self) -> None:
        number, pauses = 0, self._registries.patience.pauses
        breaks = Breaks(self._shown.removeprefix("sha256:")[:SHORT], self._meter.say, len(pauses) + 1)
        upload, offset, farthest = self._repository.begin_upload(), 0, 0
        while True:
            try:
                self._send(upload, offset)
                return
            except Broken as error:
                if number == len(pauses):
                    raise
                self._registries.sleep(pauses[number])
                upload, offset = self._continued(upload)
                breaks.told(error.reason, offset if offset > farthest else None, number)
                number += 1
            if offset > farthest:
                number, farthest = 0, offset

    def _send(self, upload: str, offset: int) -> None:
        size = self._descriptor.size
        if size <= SMALL:
            self._file.seek(0)
            self._repository.finish(upload, self._descriptor.digest, self._file.read())
            self._meter.arrived(self._shown, size, size)
            return
        if offset < size:
            body = Outgoing(self._file, offset, lambda at, sent: self._meter.arrived(self._shown, at, sent))
            upload = self._repository.append(upload, body, offset, size - offset)
        self._repository.finish(upload, self._descriptor.digest)

    def _continued(self, upload: str) -> tuple[str, int]:
        """Where the upload stands; a new one where the registry has forgotten it."""
        if self._descriptor.size > SMALL:
            try:
                return self._repository.progress_of(upload)
            except NotThere:
                pass
        return self._repository.begin_upload(), 0


class Outgoing:
    """The rest of a file, as the body of a request."""

    def __init__(self, file: BinaryIO, start: int, told: Callable[[int, int], None]) -> None:
        self._file = file
        self._start = self._at = start
        self._told = told
        file.seek(start)

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self._at += len(data)
        self._told(self._at, len(data))
        return data

    def rewind(self) -> None:
        self._at = self._start
        self._file.seek(self._start)
