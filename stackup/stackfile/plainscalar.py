"""What an unquoted scalar means: YAML 1.2 core as Compose reads it.

Compose reads YAML through a Go library whose rules differ from PyYAML's: ``22:22`` and ``yes`` are strings, ``0444``
is octal.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

from stackup.stackfile.nodes import Scalar, Timestamp

_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_INT = re.compile(r"[-+]?(0b[01]+|0o?[0-7]+|0x[0-9a-fA-F]+|0|[1-9][0-9]*)\Z")
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt ](\d\d?):(\d\d?):(\d\d?)(?:\.(\d+))?)(Z|[-+]\d\d:\d\d)?)?\Z", re.ASCII
)  # yaml.v3's allowedTimestampFormats
_SPECIAL = {".nan": "nan", ".NaN": "nan", ".NAN": "nan"} | {
    f"{sign}{word}": f"{sign}inf" for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")
}


@lru_cache(maxsize=4096)
def scalar(text: str) -> Scalar:
    """The value of an unquoted scalar (yaml.v3's resolve.go)."""
    if text in _NULLS:
        return None
    if text[0] not in "0123456789+-.tTfF":
        return text
    if text in _BOOLS:
        return _BOOLS[text]
    if text in _SPECIAL:
        return float(_SPECIAL[text])
    if text[4:5] == "-" and (stamp := _TIMESTAMP.match(text)) and (moment := _timestamp(stamp)) is not None:
        return moment
    digits = text.replace("_", "")
    if len(digits) <= 64 and _INT.match(digits):
        return _integer(digits)
    return float(digits) if len(digits) <= 400 and _FLOAT.match(digits) else text


def _timestamp(parts: re.Match[str]) -> Timestamp | None:
    """None for what only looks like a date (2024-02-31)."""
    year, month, day, hour, minute, second = (int(part or 0) for part in parts.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    fraction = (parts[7] or "").rstrip("0")
    fraction = f".{fraction[:9]}" if fraction else ""
    zone = parts[8] or "Z"
    printed_zone = "+0000 UTC" if zone.upper() == "Z" else f"{zone.replace(':', '')} {zone.replace(':', '')}"
    day_text, time_text = moment.date().isoformat(), f"{moment.time().isoformat()}{fraction}"
    return Timestamp(f"{day_text}T{time_text}{zone.upper()}", f"{day_text} {time_text} {printed_zone}")


def _integer(digits: str) -> int:
    sign = -1 if digits[0] == "-" else 1
    body = digits.lstrip("+-")
    if body[0] == "0" and len(body) > 1:
        number = int(body[2:], 16) if body[1] == "x" else int(body[2:], 2) if body[1] == "b" else 0
        if body[1] not in "xb":
            number = int(body.replace("o", ""), 8)
    else:
        number = int(body)
    return sign * number
