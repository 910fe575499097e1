"""Compares what lies on the disk with the digests that it is known by.

Every blob that a stored image leads to is read and hashed, once compressed and once uncompressed; every unpacked layer
is compared with its blob, unpacked again beside it: names, kinds, contents, modes, owners, links, devices and extended
attributes (not times: SOURCE_DATE_EPOCH makes those of a built layer's archive others). A damaged layer that nobody
uses, no container, no build, no command that is about to make a container, is deleted, and unpacked again at its next
use. Platforms of an index that were never fetched are no damage.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from stackup.base.diskroom import telling
from stackup.base.errors import ImageError
from stackup.base.files import locked, try_lock
from stackup.base.foreign import shown
from stackup.base.values import changed, frozen
from stackup.images import likeness, usage
from stackup.images.blobs import content_digest
from stackup.images.catalog import familiar
from stackup.images.claims import claimed
from stackup.images.streams import Compression, Pump, decompressed
from stackup.images.unpack import unpack_layer, wanted_xattr
from stackup.images.unpackdirs import OPAQUE
from stackup.oci import image as oci
from stackup.oci.reference import is_digest

if TYPE_CHECKING:
    from stackup.images.store import ImageStore

_TREE_LIMIT = 5  # differences that are told of one layer


@frozen
class Damage:
    """``what`` is "manifest", "configuration", "blob" or "layer"; ``digest`` names it and ``path`` is where it lies.
    ``images`` are the names that need it. Of a layer: ``removed``, or ``user``, who keeps that from being done."""

    what: str
    digest: str
    path: str
    reason: str
    images: tuple[str, ...] = ()
    user: str = ""
    removed: bool = False


@frozen
class _Layer:
    """``config``: digest of a configuration that says so."""

    descriptor: oci.Descriptor
    diff_id: str
    config: str = ""


class Verifier:
    """``say`` is told what is being looked at."""

    def __init__(self, store: ImageStore, say: Callable[[str], None] = lambda _text: None) -> None:
        self._store = store
        self._say = say
        self._names: dict[str, list[str]] = defaultdict(list)  # digest -> names that need it
        self._layers: dict[tuple[str, str], list[_Layer]] = defaultdict(list)  # by digest and diff id: who says so
        self._blobs: dict[str, bool] = {}  # digests of those of layers, and whether they are whole
        self._damage: dict[tuple[str, str], Damage] = {}
        self._seen: set[str] = set()  # digests of blobs
        self._spoilt: list[str] = []  # diff ids of layers that are to be deleted
        self.checked = 0

    def run(self) -> list[Damage]:
        """Everything that is wrong, the roots first."""
        with telling("verify the images", self._store.layout):
            return self._run()

    def _run(self) -> list[Damage]:
        with usage.bringing_in(self._store.layout):  # nothing is collected meanwhile
            for item in self._store.index.read().manifests:
                self._manifest(item, familiar(item) or self._store.id_of(item)[7:19])
            self._build_cache()
            for (digest, _), said in self._layers.items():
                self._say(f"layer {digest[7:19]}")
                if self._blob(said[0]):
                    self._unpacked(said)
            self._others()
        self._store.blobs.suspect(digest for what, digest in self._damage if what == "blob")
        if self._spoilt:
            self._delete(self._spoilt)
        return [
            changed(found, images=tuple(dict.fromkeys(self._names[digest])))
            for (_, digest), found in self._damage.items()
        ]

    def _build_cache(self) -> None:
        """Layers that only cached steps need. They are not compressed, so that one digest is both."""
        for digest in sorted(usage.build_cache_layers(self._store.layout)):
            if is_digest(digest) and self._store.blobs.has(digest):
                self._layers[digest, digest].append(_Layer(oci.Descriptor(oci.LAYER, digest, 0), digest))

    def _others(self) -> None:
        """Blobs that no image for this machine needs: of other platforms, or nobody's."""
        directory = self._store.blobs.directory
        for name in sorted(os.listdir(directory)) if directory.is_dir() else []:
            digest = f"sha256:{name}"
            if not is_digest(digest) or digest in self._seen:
                continue
            self.checked += 1
            if reason := self._blob_damage(directory / name, digest):
                self._add("blob", digest, reason, directory / name)
                for item in self._store.index.read().manifests:
                    if digest in usage.reachable(self._store.blobs, [item.digest], damaged=True)[0]:
                        self._names[digest].append(familiar(item) or self._store.id_of(item)[7:19])

    def _add(self, what: str, digest: str, reason: str, path: Path, user: str = "") -> None:
        self._damage.setdefault((what, digest), Damage(what, digest, str(path), reason, user=user))

    def _manifest(self, item: oci.Descriptor, name: str) -> None:
        self._names[item.digest].append(name)
        self._seen.add(item.digest)
        try:
            manifest = self._store.manifest(item)
        except ImageError as error:
            self._add("manifest", item.digest, error.message, self._store.blobs.path(item.digest))
            return
        self._names[manifest.config.digest].append(name)
        self._seen.add(manifest.config.digest)
        try:
            config = self._store.config_file(manifest)
        except ImageError as error:
            path = self._store.blobs.path(manifest.config.digest)
            self._add("configuration", manifest.config.digest, error.message, path)
            return
        self.checked += 2
        try:
            pairs = config.pairs(manifest)
        except ValueError as error:
            self._add("manifest", item.digest, str(error), self._store.blobs.path(item.digest))
            return
        for layer, diff_id in pairs:
            self._names[layer.digest].append(name)
            self._names[diff_id].append(name)
            self._layers[layer.digest, diff_id].append(_Layer(layer, diff_id, manifest.config.digest))

    def _blob(self, layer: _Layer) -> bool:
        if layer.descriptor.digest in self._blobs:
            return self._blobs[layer.descriptor.digest]
        path = self._store.blobs.path(layer.descriptor.digest)
        reason = self._blob_damage(path, layer.descriptor.digest)
        self.checked += 1
        self._seen.add(layer.descriptor.digest)
        if reason:
            self._add("blob", layer.descriptor.digest, reason, path)
        self._blobs[layer.descriptor.digest] = not reason
        return not reason

    def _blob_damage(self, path: Path, digest: str) -> str:
        try:
            actual = content_digest(path)
        except FileNotFoundError:
            return "it is missing"
        except OSError as error:
            return f"it cannot be read: {error.strerror}"
        return "" if actual == digest else f"its content is {actual}"

    # Unpacked layers

    def _unpacked(self, said: list[_Layer]) -> None:
        layer = said[0]
        target = self._store.layers.path(layer.diff_id)
        present = target.is_dir()
        with self._store.blobs.path(layer.descriptor.digest).open("rb") as file:
            compression = Compression.of(file.read(6))
            file.seek(0)
            self._store.layers.prepare()
            pump = Pump(decompressed(file, compression))
            with self._store.layers.workroom.directory() as fresh, pump.running():
                os.chmod(fresh, 0o755)
                try:
                    if present:
                        unpack_layer(pump.reader.read, fresh, some=pump.reader.some)
                    actual = pump.rest()
                except ImageError as error:
                    if isinstance(error.__cause__, OSError):  # a full disk, say, is not the blob's fault
                        raise
                    self._add("blob", layer.descriptor.digest, error.message, target)
                    return
                if actual != layer.diff_id:
                    self._lies(said, actual)
                    return
                self._store.layers.note(layer.descriptor.digest, layer.diff_id)
                if present:
                    self._compare(layer.diff_id, fresh, target)

    def _lies(self, said: list[_Layer], actual: str) -> None:
        """Not the blob's fault, which is what it is: who says otherwise is damaged, or was made so."""
        for layer in said:
            digest = layer.descriptor.digest
            reason = f"of {digest} it is said that it is {layer.diff_id}, but it is {actual}"
            what, at = ("configuration", layer.config) if layer.config else ("blob", digest)
            self._add(what, at, reason, self._store.blobs.path(at))

    def _compare(self, diff_id: str, fresh: Path, target: Path) -> None:
        found: list[str] = []
        self.checked += 1
        try:
            for text in differences(os.fsencode(fresh), os.fsencode(target)):
                found.append(text)
                if len(found) > _TREE_LIMIT:
                    found[-1] = "and more"
                    break
        except OSError as error:  # the disk, or a path longer than the kernel takes: nobody knows, nothing is deleted
            self._add("layer", diff_id, f"it cannot be compared: {error.strerror}", target)
            return
        if found:
            self._add("layer", diff_id, "; ".join(found), target)
            self._spoilt.append(diff_id)

    def _delete(self, diff_ids: list[str]) -> None:
        """Nobody brings anything in meanwhile, and nobody begins to look images up."""
        layout, users = self._store.layout, dict[str, str]()
        fd = try_lock(layout.images / ".busy")
        if fd is None:
            users = dict.fromkeys(diff_ids, usage.bringing_in_now(layout))
        else:
            try:
                with locked(layout.images / ".lock"):
                    users = self._users(diff_ids)
                    free = [item for item in diff_ids if item not in users]
                    self._store.layers.bury(free, lambda: usage.stood_on(layout))
            finally:
                os.close(fd)
        for diff_id in diff_ids:
            user = users.get(diff_id) or _user(self._store, diff_id)
            there = self._store.layers.path(diff_id).is_dir()
            found = self._damage["layer", diff_id]
            self._damage["layer", diff_id] = changed(found, user=user if there else "", removed=not there)

    def _users(self, diff_ids: list[str]) -> dict[str, str]:
        """Who uses which of these layers, by container or by claim."""
        found = {diff_id: user for diff_id in diff_ids if (user := _user(self._store, diff_id))}
        for entry, owner in claimed(self._store):
            for diff_id in usage.reachable(self._store.blobs, [entry.digest], damaged=True)[1]:
                found.setdefault(diff_id, owner)
        return found


def _user(store: ImageStore, diff_id: str) -> str:
    path = str(store.layers.path(diff_id))
    return next((f"container {who[:12]}" for who, text in usage.launches(store.layout) if path in text), "")


def differences(expected: bytes, actual: bytes, below: bytes = b"") -> Iterator[str]:
    """What is not the same in two directories, a sentence each. Not the top itself: an archive need not mention it."""
    if below and (reason := _reason(expected, actual)):
        yield f"{_shown(below)} {reason}"
    names, others = set(os.listdir(expected)), set(os.listdir(actual))
    yield from (f"{_shown(below + b'/' + name)} is missing" for name in sorted(names - others))
    for name in sorted(others - names):
        if not stat.S_ISSOCK(os.lstat(actual + b"/" + name).st_mode):  # no archive can hold one
            yield f"{_shown(below + b'/' + name)} was added"
    for name in sorted(names & others):
        one, other, path = expected + b"/" + name, actual + b"/" + name, below + b"/" + name
        if stat.S_ISDIR(os.lstat(one).st_mode) and stat.S_ISDIR(os.lstat(other).st_mode):
            yield from differences(one, other, path)
        elif reason := _reason(one, other):
            yield f"{_shown(path)} {reason}"


def _reason(one: bytes, other: bytes) -> str:
    found = likeness.differences(one, other, lambda name: wanted_xattr(name) or name == OPAQUE)
    return next((sentence for _, sentence in found), "")


def _shown(path: bytes) -> str:
    return shown(path) or "/"
