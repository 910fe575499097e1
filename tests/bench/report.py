"""Medians and ratios as a Markdown table."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

Key = tuple[str, str, str]  # engine, stack, verb

VERBS = {"up": "up", "no-op": "up, nothing to do", "ps": "ps", "exec": "exec true", "down": "down"}


@dataclass
class Results:
    """Every measured time in seconds; ``value`` is the median."""

    times: dict[Key, list[float]] = field(default_factory=dict)

    def add(self, engine: str, stack: str, verb: str, seconds: float) -> None:
        self.times.setdefault((engine, stack, verb), []).append(seconds)

    def value(self, engine: str, stack: str, verb: str) -> float | None:
        found = self.times.get((engine, stack, verb))
        return statistics.median(found) if found else None

    def marginal(self, engine: str) -> float | None:
        """Seconds for one more container, between 10 and 50."""
        ten, fifty = self.value(engine, "10", "up"), self.value(engine, "50", "up")
        return None if ten is None or fifty is None else (fifty - ten) / 40


def shown(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


def ratio(value: float | None, base: float | None) -> str:
    return f"{value / base:.2f}" if value is not None and base else ""


def table(results: Results, stacks: list[str], others: list[str]) -> Iterator[str]:
    """``others`` are engines beside stackup and the floor."""
    head = ["services", "command", "stackup", "kernel floor", "stackup / floor"]
    for name in others:
        head += [name, f"stackup / {name}"]
    yield "| " + " | ".join(head) + " |"
    yield "| --- | --- |" + " ---: |" * (len(head) - 2)
    for stack in stacks:
        for verb, label in VERBS.items():
            own, floor = results.value("stackup", stack, verb), results.value("kernel floor", stack, verb)
            cells = [stack, label, shown(own), shown(floor), ratio(own, floor)]
            for name in others:
                other = results.value(name, stack, verb)
                cells += [shown(other), ratio(own, other)]
            yield "| " + " | ".join(cells) + " |"
    own, floor = results.marginal("stackup"), results.marginal("kernel floor")
    if own is not None:
        cells = ["10 to 50", "one more container", fine(own), fine(floor), ratio(own, floor)]
        for name in others:
            cells += [fine(results.marginal(name)), ratio(own, results.marginal(name))]
        yield "| " + " | ".join(cells) + " |"


def fine(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


@dataclass(frozen=True)
class Bound:
    text: str
    value: float | None
    limit: float

    def __str__(self) -> str:
        if self.value is None:
            return f"not measured: {self.text}"
        word = "holds" if self.holds else "DOES NOT HOLD"
        if self.limit == float("inf"):
            return f"{self.text}: {self.value:.2f}"
        return f"{word}: {self.text}: {self.value:.2f} (at most {self.limit:g})"

    @property
    def holds(self) -> bool:
        return self.value is not None and self.value <= self.limit


def bounds(results: Results, docker: str) -> list[Bound]:
    """What the architecture promises."""

    def over(value: float | None, base: float | None) -> float | None:
        return value / base if value is not None and base else None

    return [
        Bound(
            "one more container, between 10 and 50, over the kernel's floor",
            over(results.marginal("stackup"), results.marginal("kernel floor")),
            3.0,
        ),
        Bound(
            f"up of 50 services, cold, over {docker}",
            over(results.value("stackup", "50", "up"), results.value(docker, "50", "up")),
            0.2,
        ),
        Bound(
            f"ps of 50 services over {docker}",
            over(results.value("stackup", "50", "ps"), results.value(docker, "50", "ps")),
            1.0,
        ),
    ]


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    date = time.strftime("%Y-%m-%d")
    return (
        f"{date}, Linux {platform.release()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
