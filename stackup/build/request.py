"""What is to be built, as a value that crosses the border to the worker process as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from stackup.base.errors import UsageError

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """``context``: a directory. ``dockerfile``: relative to it or absolute; ``inline``: its text instead.

    ``target`` empty: the last stage. ``tags``: references for the result, may be empty. ``network``: "" or "default"
    (a bridge of the build's own), "host" or "none", for RUN. ``extra_hosts``: name to addresses. ``shm_size`` in
    bytes, 0: 64 MiB. ``additional_contexts``: name to a directory or ``docker-image://REFERENCE``.
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
    pull: bool = False
    extra_hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shm_size: int = 0
    additional_contexts: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BuildRequest:
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise UsageError(f"cannot read the build request: unknown field {unknown[0]!r}")
        hosts = {name: tuple(targets) for name, targets in data.get("extra_hosts", {}).items()}
        return cls(**{**data, "tags": tuple(data.get("tags", ())), "extra_hosts": hosts})

    def to_json(self) -> dict[str, Any]:
        mappings = {name: dict(getattr(self, name)) for name in ("args", "labels", "additional_contexts")}
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in mappings}
        return {**plain, **mappings, "extra_hosts": {name: list(all_) for name, all_ in self.extra_hosts.items()}}
