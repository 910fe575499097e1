"""Frozen dataclasses to JSON values of the OCI documents and back, driven by the field types.

A field's JSON name is its own in camel case unless its metadata says ``{"json": name}``; a field that equals its
default is left out unless the metadata says ``{"always": True}``.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache, lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def encode(value: Any) -> Any:
    """``value`` (a dataclass, tuple, dict or scalar) as lists, dicts and scalars; equal parts may be one and the same
    object, so nothing in it may be changed in place."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is tuple or kind is list:
        return [item if type(item) in _SCALARS else encode(item) for item in value]
    if kind is dict:
        return {key: encode(item) for key, item in value.items()}
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} has no place in an OCI document")
    return _encode_shared(value) if _is_plain(kind) else _encode_fields(value)


def _encode_fields(value: Any) -> dict[str, Any]:
    found = {}
    for attribute, name, always, default in _shape(type(value)):
        item = getattr(value, attribute)
        if always or item != default:
            found[name] = item if type(item) in _SCALARS else encode(item)
    return found


# Most of what is in a container's configuration (default mounts, capabilities, device rules) is in that of all others.
_encode_shared: Callable[[Any], dict[str, Any]] = lru_cache(maxsize=4096)(_encode_fields)


@cache
def _is_plain(cls: Any) -> bool:
    """Whether values of ``cls`` can be looked up: there is nothing in them that may change, nor other documents."""
    return all(item.type in _PLAIN for item in fields(cls))


def decode(cls: type[T], data: Any, where: str = "") -> T:
    """The inverse of ``encode``. Unknown keys are skipped; ValueError names the place of what does not fit."""
    if not isinstance(data, dict):
        raise ValueError(f"{where or cls.__name__}: expected an object, found {data!r}")
    values = {}
    for item, hint in _plan(cls):
        name = json_name(item)
        place = f"{where}.{name}" if where else name
        if data.get(name) is not None:
            values[item.name] = _decode(hint, data[name], place)
        elif _default(item) is MISSING:
            raise ValueError(f"{place}: missing")
    return cls(**values)


def json_name(item: Field[Any]) -> str:
    given = item.metadata.get("json")
    if given:
        return str(given)
    head, *rest = item.name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _default(item: Field[Any]) -> Any:
    return item.default_factory() if item.default_factory is not MISSING else item.default


_PLAIN = frozenset(text + more for text in ("str", "int", "bool", "tuple[str, ...]") for more in ("", " | None"))
_SCALARS = frozenset({str, int, float, bool, type(None)})
_SHAPES: dict[type, tuple[tuple[str, str, bool, Any], ...]] = {}


def _shape(cls: Any) -> tuple[tuple[str, str, bool, Any], ...]:
    """Attribute, JSON name, whether it is always written, and the default, of each field."""
    if cls not in _SHAPES:
        _SHAPES[cls] = tuple(
            (item.name, json_name(item), bool(item.metadata.get("always")), _default(item)) for item in fields(cls)
        )
    return _SHAPES[cls]


_PLANS: dict[type, tuple[tuple[Field[Any], Any], ...]] = {}


def _plan(cls: Any) -> tuple[tuple[Field[Any], Any], ...]:
    if cls not in _PLANS:
        hints = get_type_hints(cls)
        _PLANS[cls] = tuple((item, hints[item.name]) for item in fields(cls))
    return _PLANS[cls]


def _decode(hint: Any, data: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _decode(next(arm for arm in get_args(hint) if arm is not type(None)), data, where)
    if origin is tuple:
        if not isinstance(data, list):
            raise ValueError(f"{where}: expected a list, found {data!r}")
        arm = get_args(hint)[0]
        return tuple(_decode(arm, item, f"{where}[{index}]") for index, item in enumerate(data))
    if origin is dict:
        if not isinstance(data, dict):
            raise ValueError(f"{where}: expected an object, found {data!r}")
        arm = get_args(hint)[1]
        return {key: _decode(arm, item, f"{where}.{key}") for key, item in data.items()}
    if is_dataclass(hint):
        return decode(hint, data, where)  # type: ignore[arg-type]
    if hint is Any:
        return data
    if not isinstance(data, hint) or (isinstance(data, bool) and hint is not bool):
        raise ValueError(f"{where}: expected {hint.__name__}, found {data!r}")
    return data
