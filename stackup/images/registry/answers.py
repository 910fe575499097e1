"""What registries say in their error documents: ``{"errors": [{"code", "message", "detail"}]}`` (distribution-spec)."""

from __future__ import annotations

import json
from typing import Any

_LONGEST = 200


def error_codes(data: bytes) -> list[str]:
    return [str(item.get("code", "")) for item in _errors(data)]


def complaint(data: bytes) -> str:
    """The first message, for people; "" when there is none that can be shown."""
    for item in _errors(data):
        text = str(item.get("message") or item.get("code") or "")
        if text:
            return _shown(text)
    try:
        document: Any = json.loads(data)
    except ValueError:
        return ""
    if isinstance(document, dict):
        return _shown(str(document.get("details") or document.get("message") or document.get("error") or ""))
    return ""


def _errors(data: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(data)
    except ValueError:
        return []
    found = document.get("errors") if isinstance(document, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _shown(text: str) -> str:
    """In one line, without control characters: it comes from somebody else and goes to a terminal."""
    clean = "".join(char if char.isprintable() else " " for char in text)
    return clean if len(clean) <= _LONGEST else f"{clean[: _LONGEST - 1]}…"
