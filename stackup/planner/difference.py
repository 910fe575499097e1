"""The difference of two configurations in the user's words, down to the changed key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from stackup.base.values import frozen

LONGEST = 60  # characters of a value that is shown
AROUND = 20  # of them before the place where two long values begin to differ
INLINE = 3  # differences that a reason has room for

_SECRET = re.compile(r"passw|secret|token|credential|private|api_?key|access_?key|auth", re.IGNORECASE)
_IDENTITY = {  # how an entry of a list of mappings is named
    "ports": lambda item: f"{item.get('target')}/{item.get('protocol', 'tcp')}",
    "volumes": lambda item: str(item.get("target")),
    "secrets": lambda item: str(item.get("target") or item.get("source")),
    "configs": lambda item: str(item.get("target") or item.get("source")),
    "devices": lambda item: str(item.get("target") or item.get("source")),
}


@frozen
class Change:
    """``path`` of a key and what became of it. The values are JSON, whole; "" where there is none to be shown."""

    path: str
    old: str = ""
    new: str = ""
    what: str = "changed"

    def in_full(self) -> str:
        return self._words(self.old, self.new)

    def __str__(self) -> str:
        """Long values are shortened; of two, what is left is where they differ."""
        if self.old and self.new:
            return self._words(*_around(self.old, self.new))
        return self._words(_cut(self.old), _cut(self.new))

    def _words(self, old: str, new: str) -> str:
        if self.what != "changed":
            return f"{self.path}: {self.what} {new}".rstrip()
        return f"{self.path}: {old} -> {new}" if old else f"{self.path}: another value"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """``environment.DEBUG: "0" -> "1"``, ``cap_add: added ["NET_ADMIN"]``, ``hostname: removed``; sorted by key.

    Values of variables whose names look like credentials are not shown.
    """
    return [change for key in sorted(old.keys() | new.keys()) for change in _compare(key, old.get(key), new.get(key))]


def summary(changes: Sequence[Change]) -> str:
    """For a reason: a few in one line; of more, which get a line each (``apart``), how many."""
    return inline(changes) if len(changes) <= INLINE else f"{len(changes)} keys"


def inline(changes: Sequence[Change]) -> str:
    return "; ".join(map(str, changes))


def apart(changes: Sequence[Change]) -> tuple[str, ...]:
    """Those that ``summary`` has no room for."""
    return tuple(map(str, changes)) if len(changes) > INLINE else ()


def in_full(changes: Sequence[Change]) -> tuple[str, ...]:
    return tuple(change.in_full() for change in changes)


def _compare(path: str, old: Any, new: Any) -> list[Change]:
    if old == new or (path.startswith("networks.") and not old and not new):  # {} says of a network what null does
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = sorted(old.keys() | new.keys())
        return [change for key in keys for change in _member(f"{path}.{key}", key, old, new)]
    named = _named(path, old), _named(path, new)
    if named[0] is not None and named[1] is not None:
        return _compare(path, *named)
    if isinstance(old, Mapping) and new is None:
        return [change for key in sorted(old) for change in _member(f"{path}.{key}", key, old, {})] or [_removed(path)]
    if isinstance(new, Mapping) and old is None:
        found = [change for key in sorted(new) for change in _member(f"{path}.{key}", key, {}, new)]
        return found or [_added(path, None)]
    return [_change(path, old, new)]


def _member(path: str, key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """One key of two mappings, where null and missing are different things."""
    if key in old and key in new:
        return _compare(path, old[key], new[key]) if old[key] != new[key] else []
    return [_added(path, new[key]) if key in new else _removed(path)]


def _named(path: str, value: Any) -> dict[str, Any] | None:
    identity = _IDENTITY.get(path)
    if identity is None:
        return None
    items = value or []
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        return None
    named = {identity(item): item for item in items}
    return named if len(named) == len(items) else None


def _change(path: str, old: Any, new: Any) -> Change:
    if old is None:
        return _added(path, new)
    if new is None:
        return _removed(path)
    return Change(path) if _SECRET.search(path) else Change(path, _text(old), _text(new))


def _added(path: str, value: Any) -> Change:
    text = "" if value is None or value == {} else _text(value)
    hidden = _SECRET.search(path) or (isinstance(value, Mapping) and _SECRET.search(text))
    return Change(path, new="" if hidden else text, what="added")


def _removed(path: str) -> Change:
    return Change(path, what="removed")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _around(old: str, new: str) -> tuple[str, str]:
    """``... "-p", "8080" ...``: both from a little before the first character that differs."""
    if len(old) <= LONGEST and len(new) <= LONGEST:
        return old, new
    same = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(0, same - AROUND)
    if start:
        start = old.find(" ", start, same) + 1 or start  # a whole word, where there is one
    return _window(old, start), _window(new, start)


def _window(text: str, start: int) -> str:
    shown = text[start:]
    if len(shown) > LONGEST:
        shown = shown[: LONGEST - 4].rstrip() + " ..."
    return f"... {shown}" if start else shown
