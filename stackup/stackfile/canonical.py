"""A ``Stack`` as ``docker compose config`` prints it: for ``config``, and for comparing with the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from stackup.model.stack import Config, Secret, Service, SshKey, Stack, Ulimit
from stackup.stackfile.units import format_duration

_DURATIONS = frozenset(
    ("interval", "timeout", "start_period", "start_interval", "stop_grace_period", "delay", "monitor", "window")
)
_SIZES = frozenset(("memory", "mem_limit", "mem_reservation", "memswap_limit", "shm_size", "size", "rate"))
_KEPT = frozenset(("command", "entrypoint"))  # printed even when nothing is said about them
_SECTIONS = ("services", "networks", "volumes", "secrets", "configs", "models")


def canonical(stack: Stack) -> dict[str, Any]:
    """The dictionary whose JSON equals that of ``docker compose config --format json`` but for empty values."""
    result: dict[str, Any] = {}
    for section in sorted(_SECTIONS):
        items = getattr(stack, section)
        if items:
            result[section] = {name: _resource(items[name]) for name in sorted(items)}
    result["name"] = stack.name
    result.update(stack.extensions)
    return dict(sorted(result.items()))


def canonical_service(service: Service) -> dict[str, Any]:
    """One service, as under ``services`` of ``canonical``; also what configuration hashes and differences are made of."""
    data = _object(service)
    data.pop("name", None)
    data.setdefault("command", None)
    data.setdefault("entrypoint", None)
    return dict(sorted(data.items()))


def _resource(item: BaseModel) -> dict[str, Any]:
    if isinstance(item, Service):
        return canonical_service(item)
    data = _object(item)
    if isinstance(item, Secret):
        data.pop("content", None)
    if isinstance(item, Config) and item.environment:
        data.pop("content", None)
    return data


def _object(item: BaseModel) -> dict[str, Any]:
    """Only what was said or filled in: defaults of the model are left out unless they were set."""
    data: dict[str, Any] = {}
    for name in item.model_fields_set:
        if name in ("extensions", "stackup"):
            continue
        value = getattr(item, name)
        special = _SPECIAL.get(name)
        shown = special(value) if special is not None else _value(name, value)
        if shown is not None and shown is not False and shown != () and (shown != "" or name in _KEPT):
            data[name] = shown
    data.update(getattr(item, "extensions", {}))
    return data


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Ulimit):
        return value.soft if value.single else {"soft": value.soft, "hard": value.hard}
    if isinstance(value, SshKey):
        return f"{value.id}={value.path}" if value.path else value.id
    if isinstance(value, BaseModel):
        return _object(value)
    if isinstance(value, Mapping):
        return {key: _value("", child) for key, child in value.items()}
    if isinstance(value, tuple):
        return [_value("", child) for child in value]
    if isinstance(value, float) and not isinstance(value, bool):
        if name in _DURATIONS:
            return format_duration(value)
        return int(value) if value.is_integer() else value
    if name in _SIZES and isinstance(value, int):
        return str(value)
    return value


def _hosts(hosts: Mapping[str, tuple[str, ...]]) -> list[str]:
    return sorted(f"{name}={address}" for name, addresses in hosts.items() for address in addresses)


def _mode(mode: int | None) -> str | int | None:
    return None if mode is None else f"{mode:04o}"


def _keep_false(value: bool | None) -> bool | None:
    return value


_SPECIAL: dict[str, Callable[[Any], Any]] = {"extra_hosts": _hosts}
