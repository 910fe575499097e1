"""Points in time as people type them: ``2026-01-02T13:23:37Z``, ``2026-01-02``, ``1767360217.5``, ``1h30m``."""

from __future__ import annotations

import re

from stackup.base.clock import now_ns

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_LONGEST = 2.0**63  # ns, 292 years
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


def moment_ns(text: str) -> int:
    """Nanoseconds since the epoch; a duration counts back from now. Raises ValueError."""
    duration = duration_ns(text)
    if duration is not None:
        return now_ns() - duration
    if re.fullmatch(r"\d+(\.\d{1,9})?", text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
    from datetime import datetime

    match = re.fullmatch(r"(\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", text)
    if not match:
        raise ValueError(f"{text!r} is neither a time nor a duration")
    whole, fraction, zone = match.groups()
    parsed = datetime.fromisoformat(whole + (zone or "").replace("Z", "+00:00"))
    return int(parsed.timestamp()) * 10**9 + int((fraction or "").ljust(9, "0"))


def duration_ns(text: str) -> int | None:
    """A duration as Go writes it, or None."""
    position, total = 0, 0.0
    for part in _PART.finditer(text):
        if part.start() != position:
            return None
        position = part.end()
        total += float(part[1]) * _UNITS[part[2]]
    if not position or position != len(text):
        return None
    if total > _LONGEST:
        raise ValueError(f"{text[:20]}... is too long a time")
    return int(total)
