"""Stacks as OCI artefacts: what ``publish`` sends and ``include: oci://`` fetches.

The format is docker compose's (``pkg/remote/oci.go``, ``internal/oci/push.go``): a manifest with an artifact type, and
a layer for each file, named by an annotation. Several stack files become one of several documents, in their order.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stackup.base.errors import ImageError
from stackup.base.foreign import shown
from stackup.base.values import frozen
from stackup.base.version import VERSION
from stackup.base.workroom import Workroom
from stackup.images.registry.access import Registries
from stackup.images.registry.client import Manifest, Repository
from stackup.images.registry.errors import BadAnswer, NotThere, RegistryError
from stackup.images.registry.missing import explained, joined
from stackup.oci import image as oci
from stackup.oci.reference import Reference, parse

PROJECT = "application/vnd.docker.compose.project"
STACK_FILE = "application/vnd.docker.compose.file+yaml"
ENV_FILE = "application/vnd.docker.compose.envfile"
OLD_CONFIG = "application/vnd.docker.compose.config.empty.v1+json"  # where a registry knows no artifact types
EMPTY = "application/vnd.oci.empty.v1+json"
MAIN = "compose.yaml"

_FILE_NAME, _ENV_NAME = "com.docker.compose.file", "com.docker.compose.envfile"
_EXTENDS, _VERSION = "com.docker.compose.extends", "com.docker.compose.version"
_FILES = 100
_FILE_SIZE = 4 << 20


@frozen
class File:
    """``kind``: STACK_FILE or ENV_FILE. ``extends``: not read by itself, but by another file's ``extends``."""

    name: str
    data: bytes
    kind: str = STACK_FILE
    extends: bool = False

    @property
    def annotations(self) -> dict[str, str]:
        named = {_FILE_NAME if self.kind == STACK_FILE else _ENV_NAME: self.name, _VERSION: VERSION}
        return named | ({_EXTENDS: "true"} if self.extends else {})

    def to_json(self) -> dict[str, Any]:
        data = base64.b64encode(self.data).decode()
        return {"name": self.name, "data": data, "kind": self.kind, "extends": self.extends}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> File:
        try:
            content = base64.b64decode(data["data"])
        except binascii.Error as error:
            raise ImageError(f"cannot publish {data['name']}: {error}") from None
        return cls(str(data["name"]), content, str(data["kind"]), bool(data["extends"]))


def reference_of(text: str, verb: str) -> Reference:
    try:
        return parse(text.removeprefix("oci://"))
    except ValueError as error:
        raise ImageError(f"cannot {verb} '{text}': {error}") from None


# Fetching


def fetch(text: str, cache: Path, registries: Registries) -> Path:
    """The directory below ``cache`` with the artefact's files, of which ``compose.yaml`` is the one to read.

    Raises RegistryError and ImageError.
    """
    reference = reference_of(text, "read")
    shown = f"oci://{reference.familiar}"
    try:
        failed: list[tuple[Repository, RegistryError]] = []
        for repository in registries.repositories(reference):
            try:
                return _fetched(repository, reference, cache)
            except RegistryError as error:
                failed.append((repository, error))
        raise joined(failed)
    except RegistryError as error:
        raise error.about_image("read", shown) from None
    except OSError as error:
        raise ImageError(f"cannot read {shown}: {error.strerror} ({error.filename})") from error


def _fetched(repository: Repository, reference: Reference, cache: Path) -> Path:
    try:
        digest = reference.digest or repository.digest_of(reference.tag)
        if digest and (known := place(cache, digest)).is_dir():
            return known
        manifest = repository.manifest(reference.digest or reference.tag)
    except NotThere as error:
        raise explained(error, repository, reference) from None
    files = merged(_files(repository, manifest))
    target = place(cache, manifest.digest)
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Workroom(cache / ".work").directory() as work:
        for name, data in files.items():
            (work / name).write_bytes(data)
        if not target.is_dir():
            os.rename(work, target)
    return target


def place(cache: Path, digest: str) -> Path:
    return cache / digest.removeprefix("sha256:")


def _files(repository: Repository, manifest: Manifest) -> list[File]:
    document = manifest.document()
    config = document.get("config")
    config_type = config.get("mediaType") if isinstance(config, dict) else None
    kind = document.get("artifactType") or config_type or "nothing known"
    if kind not in (PROJECT, OLD_CONFIG):
        raise BadAnswer(f"it is no published stack but {shown(str(kind))}")
    try:
        layers = oci.Manifest.from_json(document).layers
    except ValueError as error:
        raise BadAnswer(f"its manifest cannot be read: {error}") from None
    wanted = [layer for layer in layers if layer.media_type in (STACK_FILE, ENV_FILE)]
    if len(wanted) > _FILES or any(layer.size > _FILE_SIZE for layer in wanted):
        raise BadAnswer(f"it has more than {_FILES} files, or one of more than {_FILE_SIZE >> 20} MiB")
    return [_file(repository, layer) for layer in wanted]


def _file(repository: Repository, layer: oci.Descriptor) -> File:
    name = layer.annotations.get(_FILE_NAME if layer.media_type == STACK_FILE else _ENV_NAME, MAIN)
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise BadAnswer(f"the name of a file in it, {name!r}, leads elsewhere")
    data = repository.blob(layer.digest).body(_FILE_SIZE)
    actual = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if actual != layer.digest:
        raise BadAnswer(f"blob {layer.digest} arrives damaged from {repository.endpoint.host}: it is {actual}")
    return File(name, data, layer.media_type, layer.annotations.get(_EXTENDS) == "true")


def merged(files: Iterable[File]) -> dict[str, bytes]:
    """By name: the stack files as the documents of one, everything else as it is. Raises BadAnswer without any."""
    found: dict[str, bytes] = {}
    documents: list[bytes] = []
    for file in files:
        if file.kind == STACK_FILE and not file.extends:
            documents.append(file.data)
        else:
            found[file.name] = file.data
    if not documents:
        raise BadAnswer("there is no stack file in it")
    found[MAIN] = b"\n---\n".join(documents)
    return found


# Publishing


def publish(text: str, files: Iterable[File], registries: Registries) -> str:
    """Answers the artefact's digest, which is the same for the same files. Raises RegistryError and ImageError."""
    reference = reference_of(text, "publish")
    if reference.digest:
        raise ImageError(f"cannot publish {text}: name a tag; the digest follows from the content")
    repository = registries.repositories(reference, push=True)[0]
    try:
        layers = [_sent(repository, file.data, file.kind, file.annotations) for file in files]
        empty = _sent(repository, b"{}", EMPTY, {})
        manifest = _manifest(empty, layers, artifact=True)
        try:
            repository.put_manifest(reference.tag, manifest)
        except BadAnswer:  # a registry that takes images only
            manifest = _manifest({**empty, "mediaType": OLD_CONFIG}, layers, artifact=False)
            repository.put_manifest(reference.tag, manifest)
    except RegistryError as error:
        raise error.about_image("publish", reference.familiar) from None
    return manifest.digest


def _sent(repository: Repository, data: bytes, media_type: str, annotations: Mapping[str, str]) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if not repository.has_blob(digest):
        repository.finish(repository.begin_upload(), digest, data)
    return oci.Descriptor(media_type, digest, len(data), annotations).to_json()


def _manifest(config: Mapping[str, Any], layers: list[dict[str, Any]], *, artifact: bool) -> Manifest:
    kind = {"artifactType": PROJECT} if artifact else {}
    data = oci.dumps({"schemaVersion": 2, "mediaType": oci.MANIFEST, **kind, "config": config, "layers": layers})
    return Manifest(oci.MANIFEST, f"sha256:{hashlib.sha256(data).hexdigest()}", data)
