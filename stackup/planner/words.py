"""Small pieces of text that several rules share."""

from __future__ import annotations

from collections.abc import Iterable

LISTED = 4


def listed(names: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b, c, d and 3 more``."""
    items = list(dict.fromkeys(names))
    if len(items) > LISTED + 1:
        return f"{', '.join(items[:LISTED])} and {len(items) - LISTED} more"
    if len(items) > 1:
        return f"{', '.join(items[:-1])} and {items[-1]}"
    return "".join(items)


def needed_by(names: Iterable[str]) -> str:
    """``web needs it``, ``api and web need it``."""
    items = list(dict.fromkeys(names))
    return f"{listed(items)} {'needs' if len(items) == 1 else 'need'} it"


def short_id(value: str) -> str:
    """Twelve digits, as Docker shows ids; without the digest's algorithm."""
    return value.rpartition(":")[2][:12]
