"""Durations and sizes as Compose writes them, and as it prints them (Go's ``time.Duration``, ``units.RAMInBytes``)."""

from __future__ import annotations

import re
from decimal import Decimal

from stackup.stackfile.nodes import Timestamp

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9}
_UNITS |= {"h": 3600 * 10**9, "d": 24 * 3600 * 10**9, "w": 7 * 24 * 3600 * 10**9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_DURATION = re.compile(r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h|d|w))+\Z")
_SIZE = re.compile(r"\+?(\d+(?:\.\d*)?|\.\d+) ?(?:([kmgtp])(?:i?b)?|b)?\Z", re.IGNORECASE)
_FACTORS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse_duration(text: str) -> float | None:
    """Seconds; None for what is no duration. ``1m30s``, ``500ms``, ``1.5h``, ``2d``; a bare ``0`` is allowed."""
    if text == "0":
        return 0.0
    if len(text) > 64 or not _DURATION.match(text):
        return None
    total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return (-total if text[0] == "-" else total) / 10**9


def format_duration(seconds: float) -> str:
    """As Go prints it: ``1m30s``, ``15m0s``, ``1h0m0s``, ``500ms``, ``1.5s``, ``0s``."""
    nanoseconds = round(seconds * 10**9)
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    nanoseconds = abs(nanoseconds)
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if nanoseconds < size * 1000:
            return f"{sign}{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    text = f"{_decimal(rest, 10**9)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
    return sign + text


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def parse_size(text: str) -> int | None:
    """Bytes; None for what is no size. ``50m``, ``1.5gb``, ``512 KiB``: always powers of 1024."""
    match = _SIZE.match(text) if len(text) <= 64 else None
    return int(float(match[1]) * 1024 ** _FACTORS[(match[2] or "").lower()]) if match else None


def go_text(value: object) -> str:
    """A scalar as Go's ``fmt.Sprint`` writes it, which is what Compose does with numbers in environment and labels."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) or (isinstance(value, int) and not -1 << 63 <= value < 1 << 64):
        return _go_float(float(value))  # Go keeps whole numbers in 64 bits
    return value.printed if isinstance(value, Timestamp) else str(value)


def _go_float(value: float) -> str:
    """The shortest digits that read back as the same number; an exponent below 1e-4 and from 1e+06 on, as Go's %v."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    power = int(exponent) + len(digits) - 1  # of the first digit
    if value and not -4 <= power < 6:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        return f"{'-' if sign else ''}{text[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return repr(value).removesuffix(".0") if "e" not in repr(value) else f"{value:f}".rstrip("0")
