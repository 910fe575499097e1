"""OCI image-spec v1.1 (and Docker schema 2, which differs in media types only) as frozen dataclasses, JSON both ways.

``from_json`` takes a decoded JSON object and raises ValueError for what cannot be one; ``to_json`` leaves out whatever
is empty, as Go's ``omitempty`` does, so that what other tools wrote comes out with the same keys.
Sources: opencontainers/image-spec descriptor.md, manifest.md, image-index.md, config.md; moby image/spec for
``Healthcheck``, ``Shell`` and ``OnBuild``, which the OCI leaves to Docker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any

from stackup.base.values import frozen
from stackup.oci.reference import is_digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = LAYER + "+gzip"
LAYER_ZSTD = LAYER + "+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

REF_NAME = "org.opencontainers.image.ref.name"
CREATED = "org.opencontainers.image.created"

_EMPTY: Mapping[str, str] = MappingProxyType({})
_DIGEST = re.compile(r"[a-z0-9]+([+._-][a-z0-9]+)*:[A-Za-z0-9=_-]{1,256}\Z")  # descriptor.md, "Digests"
_MEDIA_TYPE = re.compile(r"[ -~]{0,255}\Z")
_PLATFORM = re.compile(r"[A-Za-z0-9._+-]{0,64}\Z")
_MAX = 2**63 - 1


def dumps(document: Mapping[str, Any]) -> bytes:
    """The one spelling in which this store writes JSON blobs, so that equal documents have equal digests."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()


def _text(data: Mapping[str, Any], key: str, default: str | None = "") -> str:
    value = data.get(key, default)
    if value is None:
        value = default
    if not isinstance(value, str):
        raise ValueError(f"{key} is missing or not a string")
    return value


def _strings(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = data.get(key) or ()
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{key} is not a list of strings")
    return tuple(value)


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, str]:
    value = data.get(key)
    if not value:
        return _EMPTY
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError(f"{key} is not a mapping of strings")
    return MappingProxyType(dict(value))


def _set(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Go's ``map[string]struct{}``: only the keys mean something."""
    value = data.get(key) or {}
    if not isinstance(value, dict):
        raise ValueError(f"{key} is not an object")
    return tuple(value)


def _list(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = data.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"{key} is not a list of objects")
    return value


def _filled(**items: Any) -> dict[str, Any]:
    return {key: value for key, value in items.items() if value or value is False}


@frozen
class Platform:
    architecture: str
    os: str = "linux"
    variant: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Platform:
        parts = _text(data, "architecture"), _text(data, "os", "linux"), _text(data, "variant")
        if not all(map(_PLATFORM.match, parts)):
            raise ValueError("a platform is malformed")
        return cls(*parts)

    def to_json(self) -> dict[str, Any]:
        return _filled(architecture=self.architecture, os=self.os, variant=self.variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@frozen
class Descriptor:
    """Points at a blob: ``digest`` is "sha256:" and 64 hexadecimal digits, ``size`` is in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    platform: Platform | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Descriptor:
        size = data.get("size")
        if not isinstance(size, int) or not 0 <= size <= _MAX:
            raise ValueError("size of a descriptor is missing or not a number of bytes")
        media_type, digest = _text(data, "mediaType"), _text(data, "digest", None)
        if not _DIGEST.match(digest) or not _MEDIA_TYPE.match(media_type):
            raise ValueError("digest or media type of a descriptor is malformed")
        platform = data.get("platform")
        return cls(
            media_type,
            digest,
            size,
            _mapping(data, "annotations"),
            Platform.from_json(platform) if isinstance(platform, dict) else None,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
            **_filled(annotations=dict(self.annotations), platform=self.platform.to_json() if self.platform else None),
        }


@frozen
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = MANIFEST
    annotations: Mapping[str, str] = field(default_factory=lambda: _EMPTY)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        config = data.get("config")
        if not isinstance(config, dict):
            raise ValueError("config of a manifest is missing")
        layers = tuple(Descriptor.from_json(item) for item in _list(data, "layers"))
        media_type = _text(data, "mediaType") or MANIFEST
        return cls(Descriptor.from_json(config), layers, media_type, _mapping(data, "annotations"))

    def to_json(self) -> dict[str, Any]:
        return {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
            **_filled(annotations=dict(self.annotations)),
        }


@frozen
class Index:
    manifests: tuple[Descriptor, ...] = ()
    media_type: str = INDEX
    annotations: Mapping[str, str] = field(default_factory=lambda: _EMPTY)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Index:
        manifests = tuple(Descriptor.from_json(item) for item in _list(data, "manifests"))
        return cls(manifests, _text(data, "mediaType") or INDEX, _mapping(data, "annotations"))

    def to_json(self) -> dict[str, Any]:
        return {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "manifests": [item.to_json() for item in self.manifests],
            **_filled(annotations=dict(self.annotations)),
        }


@frozen
class Healthcheck:
    """Durations in nanoseconds, 0 = the engine's default. ``test`` begins with NONE, CMD or CMD-SHELL."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Healthcheck:
        keys = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
        numbers = [data.get(key) or 0 for key in keys]
        if not all(isinstance(number, int) and abs(number) <= _MAX for number in numbers):
            raise ValueError("a duration of Healthcheck is not a number")
        return cls(_strings(data, "Test"), *numbers)

    def to_json(self) -> dict[str, Any]:
        return _filled(
            Test=list(self.test),
            Interval=self.interval,
            Timeout=self.timeout,
            StartPeriod=self.start_period,
            StartInterval=self.start_interval,
            Retries=self.retries,
        )


@frozen
class ImageConfig:
    """How to run a container of the image (``config`` in the image configuration).

    ``entrypoint`` and ``cmd`` None: not stated by the image.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()  # "80/tcp"
    env: tuple[str, ...] = ()  # "KEY=value", in order
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ImageConfig:
        check = data.get("Healthcheck")
        return cls(
            user=_text(data, "User"),
            exposed_ports=_set(data, "ExposedPorts"),
            env=_strings(data, "Env"),
            entrypoint=None if data.get("Entrypoint") is None else _strings(data, "Entrypoint"),
            cmd=None if data.get("Cmd") is None else _strings(data, "Cmd"),
            volumes=_set(data, "Volumes"),
            working_dir=_text(data, "WorkingDir"),
            labels=_mapping(data, "Labels"),
            stop_signal=_text(data, "StopSignal"),
            healthcheck=Healthcheck.from_json(check) if isinstance(check, dict) else None,
            shell=_strings(data, "Shell"),
            on_build=_strings(data, "OnBuild"),
        )

    def to_json(self) -> dict[str, Any]:
        document = _filled(
            User=self.user,
            ExposedPorts={port: {} for port in self.exposed_ports},
            Env=list(self.env),
            Volumes={path: {} for path in self.volumes},
            WorkingDir=self.working_dir,
            Labels=dict(self.labels),
            StopSignal=self.stop_signal,
            Healthcheck=self.healthcheck.to_json() if self.healthcheck else None,
            Shell=list(self.shell),
            OnBuild=list(self.on_build),
        )
        if self.entrypoint is not None:
            document["Entrypoint"] = list(self.entrypoint)
        if self.cmd is not None:
            document["Cmd"] = list(self.cmd)
        return document

    @property
    def environment(self) -> dict[str, str]:
        """``env`` as a mapping; the last of two equal names wins."""
        return dict(item.partition("=")[::2] for item in self.env)


@frozen
class History:
    created: str = ""
    created_by: str = ""
    comment: str = ""
    empty_layer: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> History:
        texts = (_text(data, "created"), _text(data, "created_by"), _text(data, "comment"))
        return cls(*texts, bool(data.get("empty_layer", False)))

    def to_json(self) -> dict[str, Any]:
        document = _filled(created=self.created, created_by=self.created_by, comment=self.comment)
        return {**document, "empty_layer": True} if self.empty_layer else document


@frozen
class ConfigFile:
    """The image configuration document. Its digest is the image's id; ``created`` is RFC 3339."""

    platform: Platform
    config: ImageConfig = field(default_factory=ImageConfig)
    diff_ids: tuple[str, ...] = ()
    history: tuple[History, ...] = ()
    created: str = ""
    author: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ConfigFile:
        config, rootfs = data.get("config") or {}, data.get("rootfs") or {}
        if not isinstance(config, dict) or not isinstance(rootfs, dict):
            raise ValueError("config or rootfs is not an object")
        diff_ids = _strings(rootfs, "diff_ids")
        if not all(map(is_digest, diff_ids)):
            raise ValueError("a diff id is not a sha256 digest")
        return cls(
            Platform.from_json(data),
            ImageConfig.from_json(config),
            diff_ids,
            tuple(History.from_json(item) for item in _list(data, "history")),
            _text(data, "created"),
            _text(data, "author"),
        )

    def pairs(self, manifest: Manifest) -> tuple[tuple[Descriptor, str], ...]:
        """The manifest's layers with their diff ids. Raises ValueError where the two contradict each other."""
        if len(self.diff_ids) != len(manifest.layers):
            raise ValueError("its configuration and its manifest list different layers")
        pairs = tuple(zip(manifest.layers, self.diff_ids, strict=True))
        if len({(layer.digest, diff_id) for layer, diff_id in pairs}) != len({layer.digest for layer, _ in pairs}):
            raise ValueError("its configuration says of one layer that it is two")
        return pairs

    def to_json(self) -> dict[str, Any]:
        return {
            **self.platform.to_json(),
            **_filled(created=self.created, author=self.author, history=[item.to_json() for item in self.history]),
            "config": self.config.to_json(),
            "rootfs": {"type": "layers", "diff_ids": list(self.diff_ids)},
        }
