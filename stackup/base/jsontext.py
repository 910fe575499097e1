"""JSON that somebody else has made: what cannot be dealt with is a ValueError, whatever is wrong with it."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 100  # objects and lists within each other; none of the documents that are read here has ten


def parse_json(data: bytes | str) -> Any:
    """Raises ValueError, with a reason in a few words, for what is no JSON, is nested so deeply that nothing can walk
    through it, or has halves of characters, which could not be written anywhere."""
    try:
        document = json.loads(data, parse_constant=_refuse)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    level, depth = [document], 0
    while level := [part for item in level for part in _parts(item)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(_TOO_DEEP)
    if (b"\\u" if isinstance(data, bytes) else "\\u") in data:  # type: ignore[operator]
        try:
            json.dumps(document, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it has half a character in it") from None
    return document


_TOO_DEEP = "it is nested too deeply"


def _parts(item: Any) -> list[Any]:
    found = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return [part for part in found if isinstance(part, dict | list)]


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number")
