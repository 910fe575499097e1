"""Hypothesis over the cases, seed after seed, until the time is up."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz.cases import cases
from tests.fuzz.loading import try_case

ROUND = settings(
    max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
)


@dataclass
class Hunt:
    """What came of it. ``failure`` is the smallest case that went wrong, ``trace`` what happened with it."""

    loads: int = 0
    stacks: int = 0
    rounds: int = 0
    failure: bytes | None = None
    trace: str = ""
    slowest: float = 0.0


def memory_directory() -> str | None:
    """Where files cost no disk writes; None for the usual place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def hunt(seconds: float, first_seed: int) -> Hunt:
    result = Hunt()
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="stackup-fuzz-", dir=memory_directory()) as name:
        while time.monotonic() < end and result.failure is None:
            _round(Path(name), first_seed + result.rounds, end, result)
            result.rounds += 1
    return result


def _round(directory: Path, number: int, end: float, result: Hunt) -> None:
    last = b""

    @seed(number)
    @ROUND
    @given(cases)
    def check(data: bytes) -> None:
        nonlocal last
        if time.monotonic() > end + 60:
            return  # a failure that takes too long to make smaller
        last = data
        result.loads += 1
        before = time.process_time()
        result.stacks += try_case(directory, data)
        result.slowest = max(result.slowest, time.process_time() - before)

    try:
        check()
    except Exception:  # noqa: BLE001 - this is what is hunted for
        result.failure, result.trace = last, traceback.format_exc()


def keep(data: bytes, directory: Path) -> Path:
    """Writes a failing case down, to be put into the corpus once it is mended."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"failed-{hashlib.sha256(data).hexdigest()[:12]}.txt"
    path.write_bytes(data)
    return path
