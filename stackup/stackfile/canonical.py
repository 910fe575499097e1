"""A ``Stack`` as ``docker compose config`` prints it: for ``config``, and for comparing with the reference.

What Go's JSON encoder leaves out is left out: empty texts, lists and mappings, zero and false, except where Compose
distinguishes them from nothing (``_POINTERS``). Extensions appear at the top level only, as they do there.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from stackup.model.stack import (
    Config,
    FileGrant,
    Ipam,
    RestartPolicy,
    Secret,
    Service,
    SshKey,
    Stack,
    ThrottleDevice,
    Ulimit,
    WeightDevice,
)
from stackup.stackfile.nodes import Node, plain
from stackup.stackfile.units import format_duration

_DURATIONS = frozenset(
    ("interval", "timeout", "start_period", "start_interval", "stop_grace_period", "delay", "monitor", "window")
)
_SIZES = frozenset(
    ("memory", "mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "shm_size", "size", "rate")
)
_POINTERS = frozenset(
    ("replicas", "scale", "parallelism", "retries", "max_attempts", "attach", "init", "enable_ipv4", "enable_ipv6")
) | {"required", "command", "entrypoint"}
_POINTERS |= {"stop_grace_period", "interval", "timeout", "start_period", "start_interval", "window"}
_SECTIONS = ("configs", "networks", "secrets", "services", "volumes")


def canonical(stack: Stack, *, complete: bool = False) -> dict[str, Any]:
    """The dictionary whose JSON equals that of ``docker compose config --format json``, with ``$`` doubled as there.

    ``complete`` adds what only Compose's YAML shows: models, and the extensions inside of services and resources.
    """
    shown: dict[str, Any] = {"name": stack.name, **_numbers(dict(stack.extensions))}
    for section in (*_SECTIONS, "models") if complete else _SECTIONS:
        items: Mapping[str, BaseModel] = getattr(stack, section)
        if items:
            shown[section] = {name: _resource(items[name], complete) for name in sorted(items)}
    result: dict[str, Any] = escaped(dict(sorted(shown.items())))
    return result


def canonical_tree(tree: Node) -> dict[str, Any]:
    """What was read, in long form and with its variables in place, so that it can be read as a stack file again."""
    shown = _written(plain(tree), "")
    assert isinstance(shown, dict)
    return shown


def shown_value(node: Node, name: str) -> Any:
    """One value of the tree under the attribute ``name``, as people write it."""
    return _written(plain(node), name)


def _written(value: Any, name: str) -> Any:
    """``plain`` without the units of the model: durations, sizes and permission bits as people write them."""
    if isinstance(value, dict):
        if name == "extra_hosts":
            return [f"{host}={item}" for host, items in value.items() for item in items]
        if value.get("single") is True and "soft" in value:
            return value["soft"]
        return {key: child if key.startswith("x-") else _written(child, key) for key, child in value.items()}
    if isinstance(value, list):
        if name == "ssh":
            return [f"{item['id']}={item['path']}" if "path" in item else item["id"] for item in value]
        return [_granted(item) if name in ("secrets", "configs") else _written(item, "") for item in value]
    if isinstance(value, float):
        return format_duration(value) if name in _DURATIONS else _single(value)
    return str(value) if name in _SIZES and isinstance(value, int) else value


def _granted(item: Any) -> Any:
    return {**item, "mode": f"{item['mode']:04o}"} if isinstance(item, dict) and type(item.get("mode")) is int else item


def canonical_service(service: Service, *, complete: bool = False) -> dict[str, Any]:
    """One service as under ``services``, dollar signs as they are: what hashes and differences are made of."""
    data = _object(service, complete)
    data.pop("name", None)
    data.setdefault("command", None)
    data.setdefault("entrypoint", None)
    return dict(sorted(data.items()))


def escaped(value: Any) -> Any:
    """``$`` as ``$$``, so that the output can be read as a stack file again."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {escaped(key): escaped(child) for key, child in value.items()}
    if isinstance(value, list):
        return [escaped(child) for child in value]
    return value


def _resource(item: BaseModel, complete: bool) -> dict[str, Any]:
    if isinstance(item, Service):
        return canonical_service(item, complete=complete)
    data = _object(item, complete)
    if isinstance(item, Secret) or (isinstance(item, Config) and item.environment):
        data.pop("content", None)
    return data


def _object(item: BaseModel, complete: bool) -> dict[str, Any]:
    """Only what was written or filled in, not the model's own defaults."""
    data: dict[str, Any] = {}
    for name in item.model_fields_set:
        if name in ("extensions", "stackup"):
            continue
        value = getattr(item, name)
        kept = name in _POINTERS or (name == "delay" and isinstance(item, RestartPolicy))
        if value is None or (not value and not kept):
            continue
        data[name] = _hosts(value) if name == "extra_hosts" else _value(name, value, complete)
    if isinstance(item, FileGrant) and item.mode is not None:
        data["mode"] = f"{item.mode:04o}"
    if complete:
        data.update(getattr(item, "extensions", {}))
    elif isinstance(item, Ipam):
        data.pop("options", None)  # Compose takes them and forgets them
    elif isinstance(item, (WeightDevice, ThrottleDevice)):
        return {name.capitalize(): value for name, value in data.items()}  # Go's own names, as they have no others
    return data


def _value(name: str, value: Any, complete: bool) -> Any:
    if isinstance(value, Ulimit):
        limits = {key: limit for key, limit in (("soft", value.soft), ("hard", value.hard)) if limit}
        return value.soft if value.single and value.soft else limits
    if isinstance(value, SshKey):
        return f"{value.id}={value.path}" if value.path else value.id
    if isinstance(value, BaseModel):
        return _object(value, complete)
    if isinstance(value, Mapping):
        return {key: _value("", child, complete) for key, child in value.items()}
    if isinstance(value, tuple):
        return [_value("", child, complete) for child in value]
    if isinstance(value, float):
        return format_duration(value) if name in _DURATIONS else _single(value)
    if name in _SIZES and isinstance(value, int):
        return str(value)
    return value


def _numbers(value: Any) -> Any:
    """Of extensions: Go writes 1.0 as 1."""
    if isinstance(value, dict):
        return {key: _numbers(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [_numbers(child) for child in value]
    if isinstance(value, int) and not -1 << 63 <= value < 1 << 64:
        value = float(value)  # Go keeps whole numbers in 64 bits
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else value


def _single(value: float) -> int | float:
    """Compose keeps fractions in 32 bits: the shortest number that reads back as the same one."""
    if value.is_integer():
        return int(value)
    packed = struct.pack("f", value)
    return next(number for digits in range(1, 18) if struct.pack("f", number := float(f"{value:.{digits}g}")) == packed)


def _hosts(hosts: Mapping[str, tuple[str, ...]]) -> list[str]:
    return sorted(f"{name}={address}" for name, addresses in hosts.items() for address in addresses)
