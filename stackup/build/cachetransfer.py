"""``cache_from`` and ``cache_to``: what steps made, taken from and to other places.

A cache is an OCI image manifest whose configuration lists the records of steps and whose layers are theirs: in a local
directory (``type=local,src=DIR`` and ``dest=DIR``, an OCI image layout) or under a name in a registry
(``type=registry,ref=NAME``, or the name alone). A layer is fetched when a step that made it is come to.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from stackup.base.errors import ImageError, StackFileError
from stackup.base.jsontext import parse_json
from stackup.base.values import frozen
from stackup.base.workroom import delete
from stackup.build.cache import StepCache, step_key
from stackup.build.progress import OnProgress, Warned
from stackup.build.request import BuildRequest
from stackup.images import ImageStore
from stackup.images.blobs import BlobStore
from stackup.images.index import ImageIndex
from stackup.oci import image as oci

CONFIG = "application/vnd.stackup.build-cache.v1+json"
_CHUNK = 8 << 20
_LARGEST = 64 << 20  # bytes of the records of a cache
_HOUSEKEEPING = (".ingest", ".lock", ".spare")  # of blobs and index of the image store
_ELSEWHERE = ("gha", "s3", "azblob", "inline")  # kinds that BuildKit knows besides

_T = TypeVar("_T")
Records = Mapping[str, dict[str, Any]]


@frozen
class CachePlace:
    """``kind`` is local or registry; ``where`` a directory or a reference. ``whole``: mode=max. ``tolerant``: a
    failure to export is told only."""

    kind: str
    where: str
    tag: str = "latest"
    whole: bool = False
    tolerant: bool = False


def parse_place(text: str, about: str) -> CachePlace | None:
    """None: a kind that is not for this machine. Raises StackFileError."""
    fields = next(csv.reader([text]), [])
    if len(fields) == 1 and "=" not in text:
        return CachePlace("registry", text)
    options = dict(field.strip().partition("=")[::2] for field in fields)
    kind = options.get("type", "registry")
    if kind in _ELSEWHERE:
        return None
    where = options.get("ref", "") if kind == "registry" else options.get("src") or options.get("dest") or ""
    if kind not in ("local", "registry") or not where:
        reason = (
            "it needs src= or dest=" if kind == "local" else "it needs ref=" if kind == "registry" else "no such type"
        )
        raise StackFileError(f"cannot use cache {text}: {reason}", about=about)
    tolerant = options.get("ignore-error", "false") == "true"
    return CachePlace(kind, where, options.get("tag", "latest"), options.get("mode") == "max", tolerant)


class Remote(Protocol):
    """A place of caches that is open. Raises ImageError."""

    def load(self) -> Records: ...

    def chunks(self, digest: str) -> Iterable[bytes]: ...

    def store(self, records: Records, layers: Iterable[oci.Descriptor], images: ImageStore) -> None: ...


class Transfers:
    """Of one build."""

    def __init__(
        self, request: BuildRequest, directory: Path, store: ImageStore, cache: StepCache, say: OnProgress
    ) -> None:
        self._request = request
        self._directory = directory
        self._store = store
        self._cache = cache
        self._say = say

    def bring_in(self) -> None:
        """What cannot be reached is told, and the build goes on without it."""
        for text in self._request.cache_from:
            try:
                remote = self._open(text, ".build.cache_from", push=False)
                if remote is not None:
                    self._cache.others.append((remote.load(), remote.chunks))
            except ImageError as error:
                self._say(Warned(f"{error.message}; the build goes on without this cache"))

    def take_out(self, layers: Iterable[str]) -> None:
        """``layers``: digests of the result's. Raises ImageError."""
        for text in self._request.cache_to:
            place = parse_place(text, ".build.cache_to")
            remote = self._open(text, ".build.cache_to", push=True)
            if place is None or remote is None:
                continue
            wanted = set(layers)
            records = {
                key: record
                for key, record in self._cache.used.items()
                if place.whole or not record["layer"] or record["layer"] in wanted
            }
            try:
                with self._cache.alone(step_key("cache_to", str(self._directory / place.where))):
                    remote.store(records, _layers(records.values()), self._store)
            except ImageError as error:
                if not place.tolerant:
                    raise
                self._say(Warned(error.message))

    def _open(self, text: str, about: str, *, push: bool) -> Remote | None:
        place = parse_place(text, about)
        if place is None:
            self._say(Warned(f"cache {text} is left out: there is no such kind here"))
            return None
        if place.kind == "local":
            return LocalCache(self._directory / place.where, place.tag)
        return RegistryCache(place.where, self._request.environment, push=push)


def _layers(records: Iterable[dict[str, Any]]) -> list[oci.Descriptor]:
    found = {
        record["layer"]: oci.Descriptor(record["media_type"], record["layer"], record["size"])
        for record in records
        if record["layer"]
    }
    return list(found.values())


def _document(records: Records) -> bytes:
    return oci.dumps({"architecture": "unknown", "os": "unknown", "steps": dict(records)})


def _records(data: bytes, where: str) -> Records:
    try:
        steps = parse_json(data)["steps"]
        return {str(key): {**record, "size": int(record["size"])} for key, record in steps.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ImageError(f"cannot use cache {where}: it is no build cache of stackup's") from None


class LocalCache:
    """An OCI image layout. It is somebody's directory: nothing of the store's own stays in it."""

    def __init__(self, directory: Path, tag: str) -> None:
        self._blobs = BlobStore(directory)
        self._index = ImageIndex(directory)
        self._tag = tag

    def load(self) -> Records:
        named = self._index.names().get(self._tag)
        if named is None:
            raise ImageError(f"cannot use cache {self._blobs.root}: there is none")
        manifest = oci.Manifest.from_json(self._blobs.read_json(named.digest))
        return _records(self._blobs.read(manifest.config.digest), str(self._blobs.root))

    def chunks(self, digest: str) -> Iterator[bytes]:
        return _file_chunks(self._blobs.path(digest))

    def store(self, records: Records, layers: Iterable[oci.Descriptor], images: ImageStore) -> None:
        """Two at a time are the caller's to prevent."""
        self._blobs.root.mkdir(parents=True, exist_ok=True)
        try:
            self._put(records, layers, images)
        finally:
            for name in _HOUSEKEEPING:
                delete(self._blobs.root / name)

    def _put(self, records: Records, layers: Iterable[oci.Descriptor], images: ImageStore) -> None:
        kept = list(layers)
        for layer in kept:
            if not self._blobs.has(layer.digest):
                self._blobs.put(_file_chunks(images.blobs.path(layer.digest)), layer.media_type)
        config = self._blobs.put([_document(records)], CONFIG)
        manifest = self._blobs.put_json(oci.Manifest(config, tuple(kept)).to_json(), oci.MANIFEST)
        self._index.set(self._tag, manifest)
        self._index.update(lambda items: tuple(item for item in items if item.annotations.get(oci.REF_NAME)))


def _file_chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from iter(lambda: file.read(_CHUNK), b"")
    except FileNotFoundError:
        raise ImageError(f"cannot read {path}: it is not there any more") from None


class RegistryCache:
    """A manifest under a tag."""

    def __init__(self, reference: str, environment: Mapping[str, str], *, push: bool) -> None:
        from stackup.images.registry.access import Registries  # costs more to import than a cached build takes
        from stackup.images.registry.caller import Caller
        from stackup.images.store import parse_reference

        self._name = parse_reference(reference)
        self._registries = Registries(Caller(environment))
        self._repository = self._registries.repositories(self._name, push=push)[0]

    def load(self) -> Records:
        return self._told(self._load)

    def _load(self) -> Records:
        manifest = oci.Manifest.from_json(self._repository.manifest(self._name.digest or self._name.tag).document())
        if manifest.config.media_type != CONFIG:
            raise ImageError(f"cannot use cache {self._name.familiar}: it is no build cache of stackup's")
        data = self._repository.blob(manifest.config.digest).body(_LARGEST)
        return _records(data, self._name.familiar)

    def chunks(self, digest: str) -> Iterable[bytes]:
        return self._repository.blob(digest).chunks()

    def store(self, records: Records, layers: Iterable[oci.Descriptor], images: ImageStore) -> None:
        self._told(lambda: self._store(records, list(layers), images))

    def _store(self, records: Records, layers: list[oci.Descriptor], images: ImageStore) -> None:
        from stackup.images.meter import Meter
        from stackup.images.pushing import Sender
        from stackup.images.registry.client import Manifest

        sender = Sender(images, self._repository, self._registries, Meter(lambda _event: None), {})
        config = images.blobs.put([_document(records)], CONFIG)
        for blob in (*layers, config):
            sender.blob(blob)
        document = oci.dumps(oci.Manifest(config, tuple(layers)).to_json())
        digest = f"sha256:{hashlib.sha256(document).hexdigest()}"
        self._repository.put_manifest(self._name.tag, Manifest(oci.MANIFEST, digest, document))

    def _told(self, do: Callable[[], _T]) -> _T:
        from stackup.images.registry.errors import RegistryError

        try:
            return do()
        except RegistryError as error:
            raise error.about_image("use cache", self._name.familiar) from None
