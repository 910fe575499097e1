"""What is to be built, as a value that crosses the border to the worker process as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stackup.base.errors import ImageError, UsageError
from stackup.base.values import frozen

_NOTHING: Mapping[str, str] = MappingProxyType({})


@frozen
class Secret:
    """One of ``file`` and ``content``. Its content is never part of a cache key, a layer or a message."""

    file: str = ""
    content: str | None = None

    def read(self) -> bytes:
        if self.content is not None:
            return self.content.encode("utf-8", "surrogateescape")
        try:
            return Path(self.file).read_bytes()
        except OSError as error:
            raise ImageError(f"cannot read secret {self.file}: {error.strerror}") from None


@frozen
class BuildRequest:
    """``context``: a directory, a git repository (``gitsource``) or the URL of an archive or a Dockerfile.

    ``dockerfile``: relative to it or absolute; ``inline``: its text instead. ``target`` empty: the last stage.
    ``tags``: references for the result, may be empty. ``network``: "" or "default" (a bridge of the build's own),
    "host" or "none", for RUN. ``extra_hosts``: name to addresses. ``shm_size`` in bytes, 0: 64 MiB. ``ulimits``: name
    to soft and hard limit. ``additional_contexts``: see ``origins``. ``ssh``: id to an agent's socket, or to key
    files. ``entitlements``: what RUN --security and --network may ask for. ``cache_from``, ``cache_to``: see
    ``cachetransfer``. ``environment``: what of the user's counts for registries. ``keep_failed``: the name under which
    a failed step is kept for a shell. ``service``: for hints. ``attestations``: asked for, not made, and warned of.
    ``quiet``: what commands print is not told.
    """

    context: str = "."
    dockerfile: str = ""
    inline: str = ""
    target: str = ""
    args: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    network: str = ""
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    extra_hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shm_size: int = 0
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    additional_contexts: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    ssh: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    entitlements: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    keep_failed: str = ""
    service: str = ""
    quiet: bool = False
    attestations: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BuildRequest:
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise UsageError(f"cannot read the build request: unknown field {unknown[0]!r}")
        changed: dict[str, Any] = {name: tuple(data[name]) for name in _LISTS if name in data}
        for name in ("extra_hosts", "ulimits", "ssh"):
            if name in data:
                changed[name] = {key: tuple(value) for key, value in data[name].items()}
        if "secrets" in data:
            changed["secrets"] = {name: Secret(**value) for name, value in data["secrets"].items()}
        return cls(**{**data, **changed})

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            found[item.name] = dict(value) if isinstance(value, Mapping) else value
        found["secrets"] = {name: asdict(secret) for name, secret in self.secrets.items()}
        return found

    @property
    def insecure(self) -> bool:
        return "security.insecure" in self.entitlements

    @property
    def host_network(self) -> bool:
        return self.network == "host" or "network.host" in self.entitlements


_LISTS = ("tags", "no_cache_filter", "entitlements", "platforms", "cache_from", "cache_to", "attestations")
