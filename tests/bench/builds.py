"""How long a build takes that has nothing to do: 30 steps, all of them in the cache, in a fresh process.

What counts is the processor time of the build itself: its imports are over when the clock starts, nothing is warm yet.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from stackup.base.paths import Layout
from stackup.images import ImageStore
from tests.bench.report import Bound, shown
from tests.support.rootfs import make_busybox_root

STEPS = 30
LIMIT = 0.15  # seconds
_RUNS = 5  # steps that execute something, once
_PROGRAM = """
import sys, time
from stackup.base.paths import Layout
from stackup.build import BuildRequest, build_image
from stackup.build.progress import StepCached
request, layout, events = BuildRequest(context=sys.argv[1], tags=("bench:1",)), Layout.at(sys.argv[2]), []
begin = time.process_time()
build_image(request, layout, events.append)
print(time.process_time() - begin, sum(isinstance(event, StepCached) for event in events))
"""


def dockerfile() -> str:
    """Steps of all kinds; those that copy read files of the context."""
    lines = ["FROM busybox", *(f"RUN --network=none echo {number} > /run{number}" for number in range(_RUNS))]
    while len(lines) < STEPS:
        number = len(lines)
        lines += [f"COPY file{number} /app/", f"ENV STEP={number}", f"WORKDIR /work/{number}"]
    return "\n".join(lines[:STEPS]) + "\n"


def measure(work: Path, repeat: int) -> list[float]:
    """Seconds of each run."""
    context, state = work / "context", work / "state"
    context.mkdir()
    (context / "Dockerfile").write_text(dockerfile())
    for number in range(STEPS):
        (context / f"file{number}").write_bytes(os.urandom(10_000))
    ImageStore(Layout.at(state)).import_rootfs(make_busybox_root(work / "rootfs"), "busybox")
    _once(context, state)
    found = [_once(context, state) for _ in range(repeat)]
    changing = sum(line.startswith(("RUN", "COPY", "WORKDIR")) for line in dockerfile().splitlines())
    assert all(cached == changing for _, cached in found), "not everything came out of the cache"
    return [seconds for seconds, _ in found]


def _once(context: Path, state: Path) -> tuple[float, int]:
    command = [sys.executable, "-c", _PROGRAM, str(context), str(state)]
    seconds, cached = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(cached)


def rows(found: list[float]) -> list[str]:
    median = statistics.median(found)
    return [
        "| building | stackup | promised |",
        "| --- | ---: | ---: |",
        f"| {STEPS} steps, all in the cache, processor time beyond start-up | {shown(median)} | {shown(LIMIT)} |",
    ]


def bound(found: list[float]) -> Bound:
    return Bound(f"a build of {STEPS} cached steps, seconds beyond start-up", statistics.median(found), LIMIT)
