"""What registries say in their error documents: ``{"errors": [{"code", "message", "detail"}]}`` (distribution-spec)."""

from __future__ import annotations

from typing import Any

from stackup.base.foreign import shown
from stackup.base.jsontext import parse_json


def error_codes(data: bytes) -> list[str]:
    return [str(item.get("code", "")) for item in _errors(data)]


def complaint(data: bytes) -> str:
    """The first message, for people; "" when there is none that can be shown."""
    for item in _errors(data):
        text = str(item.get("message") or item.get("code") or "")
        if text:
            return shown(text)
    try:
        document: Any = parse_json(data)
    except ValueError:
        return ""
    if isinstance(document, dict):
        return shown(str(document.get("details") or document.get("message") or document.get("error") or ""))
    return ""


def _errors(data: bytes) -> list[dict[str, Any]]:
    try:
        document = parse_json(data)
    except ValueError:
        return []
    found = document.get("errors") if isinstance(document, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
