"""Events as ``docker compose events`` prints them."""

from __future__ import annotations

import json
import time
from typing import Any

from stackup.base.clock import rfc3339


def event_text(event: dict[str, Any]) -> str:
    """``2026-01-02 03:04:05.123456 container start 0123... (image=nginx, name=shop-web-1)``, local time."""
    seconds, rest = divmod(event["time_ns"], 10**9)
    at = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{rest // 1000:06d}"
    attributes = ", ".join(f"{key}={_one_line(value)}" for key, value in sorted(event["attributes"].items()))
    return f"{at} {event['type']} {event['action']} {event['id']} ({attributes})"


def _one_line(text: str) -> str:
    """Output of several lines, say."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def event_json(event: dict[str, Any]) -> str:
    """One line with docker compose's keys."""
    keys = ("action", "attributes", "id", "service", "type")
    return json.dumps({**{key: event[key] for key in keys}, "time": rfc3339(event["time_ns"])}, sort_keys=True)
