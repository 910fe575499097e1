"""Time and boot identity, read in one place so that deciders can be handed them as values."""

from __future__ import annotations

import os
import time
from functools import cache

_TICKS = os.sysconf("SC_CLK_TCK")


def now_ns() -> int:
    """Wall clock, nanoseconds since the epoch."""
    return time.time_ns()


def monotonic() -> float:
    """Seconds on a clock that never jumps."""
    return time.monotonic()


def process_age(start_time: int) -> float:
    """Seconds since a process began whose ``start_time`` is field 22 of /proc/PID/stat; no clock change moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start_time / _TICKS


@cache
def boot_id() -> str:
    """The kernel's identity of this boot. A record made under another boot id describes processes that are gone."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def rfc3339(ns: int) -> str:
    """``ns`` since the epoch as UTC with nanoseconds: ``2026-01-02T03:04:05.123456789Z``."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"
