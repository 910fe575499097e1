"""Health as a pure state machine: results and the clock come in, the next probe's time and the state come out.

Numbers and rules are Docker's (moby daemon/health.go): a failure inside the start period does not count, one success
is enough, ``retries`` failures in a row turn a container unhealthy. stackup adds early probes while a container is
starting: they can only turn it healthy, so that nobody waits a whole interval for a service that is ready.
"""

from __future__ import annotations

from dataclasses import replace

from stackup.base.values import frozen
from stackup.engine.supervision import HealthCheck

EARLY_FIRST = 0.02  # seconds after the start until the first early probe
EARLY_FACTOR = 1.6
EARLY_LONGEST = 1.0
OUTPUT_LIMIT = 4096  # bytes kept of a probe's output


@frozen
class HealthState:
    """``next_regular`` and ``next_early`` are seconds since the container's start; early probes end with the first
    success or the first verdict."""

    status: str = "starting"
    failures: int = 0
    next_regular: float = 0.0
    next_early: float | None = EARLY_FIRST
    early_delay: float = EARLY_FIRST

    @property
    def next_probe(self) -> float:
        return self.next_regular if self.next_early is None else min(self.next_regular, self.next_early)


def first_state(check: HealthCheck) -> HealthState:
    return HealthState(next_regular=_interval(check, "starting", 0.0))


def resumed_state(check: HealthCheck, status: str, age: float) -> HealthState:
    """After a supervisor came back: the known status stands, the next probe is due at once."""
    early = age if status == "starting" else None
    return HealthState(status=status, next_regular=age + (0.0 if early is None else check.interval), next_early=early)


def is_early(state: HealthState, age: float) -> bool:
    """Whether the probe that is due at ``age`` is an extra one, whose failure counts for nothing."""
    return age < state.next_regular


def after_probe(check: HealthCheck, state: HealthState, *, ok: bool, age: float, early: bool) -> HealthState:
    """``age``: seconds since the container's start when the probe ended."""
    if ok:
        return HealthState("healthy", 0, age + check.interval, None)
    if early:
        delay = min(state.early_delay * EARLY_FACTOR, EARLY_LONGEST)
        return replace(state, next_early=age + delay, early_delay=delay)
    failures = state.failures
    status = state.status
    if not (status == "starting" and age < check.start_period):
        failures += 1
        if failures >= check.retries:
            status = "unhealthy"
    next_early = state.next_early if status == "starting" else None
    return replace(
        state, status=status, failures=failures, next_regular=age + _interval(check, status, age), next_early=next_early
    )


def _interval(check: HealthCheck, status: str, age: float) -> float:
    if status == "starting" and age < check.start_period:
        return min(check.start_interval, check.interval) if check.start_interval else check.interval
    return check.interval
