"""The difference of two configurations in the user's words, down to the changed key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST = 60  # characters of a value that is shown
SHOWN = 5  # differences of one container that are spelt out

_SECRET = re.compile(r"passw|secret|token|credential|private|api_?key|access_?key|auth", re.IGNORECASE)
_IDENTITY = {  # how an entry of a list of mappings is named
    "ports": lambda item: f"{item.get('target')}/{item.get('protocol', 'tcp')}",
    "volumes": lambda item: str(item.get("target")),
    "secrets": lambda item: str(item.get("target") or item.get("source")),
    "configs": lambda item: str(item.get("target") or item.get("source")),
    "devices": lambda item: str(item.get("target") or item.get("source")),
}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """``environment.DEBUG: "0" -> "1"``, ``cap_add: added ["NET_ADMIN"]``, ``hostname: removed``; sorted by key.

    Values of variables whose names look like credentials are not shown.
    """
    return [line for key in sorted(old.keys() | new.keys()) for line in _compare(key, old.get(key), new.get(key))]


def summary(lines: Sequence[str]) -> str:
    """At most ``SHOWN`` differences in one line."""
    if len(lines) <= SHOWN:
        return "; ".join(lines)
    return "; ".join(lines[:SHOWN]) + f"; and {len(lines) - SHOWN} more"


def _compare(path: str, old: Any, new: Any) -> list[str]:
    if old == new:
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = sorted(old.keys() | new.keys())
        return [line for key in keys for line in _member(f"{path}.{key}", key, old, new)]
    named = _named(path, old), _named(path, new)
    if named[0] is not None and named[1] is not None:
        return _compare(path, *named)
    if isinstance(old, Mapping) and new is None:
        return [line for key in sorted(old) for line in _member(f"{path}.{key}", key, old, {})] or [f"{path}: removed"]
    if isinstance(new, Mapping) and old is None:
        return [line for key in sorted(new) for line in _member(f"{path}.{key}", key, {}, new)] or [f"{path}: added"]
    return [_line(path, old, new)]


def _member(path: str, key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One key of two mappings, where null and missing are different things."""
    if key in old and key in new:
        return _compare(path, old[key], new[key]) if old[key] != new[key] else []
    if key in new:
        return [f"{path}: added" + _shown(path, new[key])]
    return [f"{path}: removed"]


def _named(path: str, value: Any) -> dict[str, Any] | None:
    identity = _IDENTITY.get(path)
    if identity is None:
        return None
    items = value or []
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        return None
    named = {identity(item): item for item in items}
    return named if len(named) == len(items) else None


def _line(path: str, old: Any, new: Any) -> str:
    if old is None:
        return f"{path}: added{_shown(path, new)}"
    if new is None:
        return f"{path}: removed"
    if _SECRET.search(path):
        return f"{path}: another value"
    return f"{path}: {_value(old)} -> {_value(new)}"


def _shown(path: str, value: Any) -> str:
    if value is None or isinstance(value, Mapping) or _SECRET.search(path):
        return ""
    return f" {_value(value)}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
