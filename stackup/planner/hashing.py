"""Configuration as plain data: what a container was made from, its hash, and the difference of two of them.

``service_config`` is recorded with every container (``ObservedContainer.config``). Its hash leaves out what does not
change the container itself: docker compose's exceptions (pkg/compose/hash.go: build, pull_policy, scale, replicas,
depends_on, profiles) and what only tools beside the container read (develop, attach, update_config ...).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from stackup.model.stack import Config, Network, Secret, Service, Stack, Volume

Plain = dict[str, Any]

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)

NOT_HASHED = frozenset(
    {"build", "pull_policy", "pull_refresh_after", "scale", "depends_on", "profiles", "develop", "attach"}
)
NOT_HASHED_DEPLOY = frozenset({"replicas", "update_config", "rollback_config", "placement", "mode", "endpoint_mode"})


def service_config(stack: Stack, service: Service) -> Plain:
    """``service`` as JSON-able data without defaults, ``x-*`` keys, build and develop; with the origin of the configs
    and secrets that it is given under ``files`` (a digest instead of inline content)."""
    config = _plain(service, skip=frozenset({"name", "build", "develop", "profiles", "env_file", "label_file"}))
    files = {f"config {grant.source}": _origin(stack.configs.get(grant.source)) for grant in service.configs}
    files |= {f"secret {grant.source}": _origin(stack.secrets.get(grant.source)) for grant in service.secrets}
    if files:
        config["files"] = files
    return config


def network_config(network: Network) -> Plain:
    return _plain(network, skip=frozenset({"external"}))


def volume_config(volume: Volume) -> Plain:
    return _plain(volume, skip=frozenset({"external"}))


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of what ``service_config``, ``network_config`` or ``volume_config`` answered; 64 hexadecimal digits."""
    return hashlib.sha256(_ENCODER.encode(hashed(config)).encode("utf-8", "surrogateescape")).hexdigest()


def hashed(config: Mapping[str, Any]) -> Plain:
    """The part of ``config`` that counts for the hash."""
    part = {key: value for key, value in config.items() if key not in NOT_HASHED}
    deploy = part.pop("deploy", None)
    if isinstance(deploy, Mapping):
        rest = {key: value for key, value in deploy.items() if key not in NOT_HASHED_DEPLOY}
        if rest:
            part["deploy"] = rest
    return part


def _origin(source: Config | Secret | None) -> str:
    if source is None:
        return ""
    if source.content is not None:
        return f"content {hashlib.sha256(source.content.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    return f"file {source.file}" if source.file else f"environment {source.environment}"


@cache
def _defaults(cls: type[BaseModel]) -> dict[str, Any]:
    return {name: item.get_default(call_default_factory=True) for name, item in cls.model_fields.items()}


def _plain(value: BaseModel, skip: frozenset[str] = frozenset()) -> Plain:
    """Set fields that differ from their default, as lists, dicts and scalars."""
    defaults = _defaults(type(value))
    result: Plain = {}
    for name in value.model_fields_set:
        if name == "extensions" or name in skip:
            continue
        item = getattr(value, name)
        if item != defaults[name]:
            result[name] = _data(item)
    return result


def _data(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, BaseModel):
        return _plain(value)
    if isinstance(value, dict):
        return {key: _data(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_data(item) for item in value]
    return value
