"""What ``depends_on`` and ``up --wait`` wait for: whether it is so, and why it never will be."""

from __future__ import annotations

import time
from collections.abc import Callable

from stackup.engine.container import Container, exit_text
from stackup.engine.signals import Changes
from stackup.model.observed import Phase

# Seconds. docker compose looks every half second: what ends before does not count as running there.
RUNS_FOR = 0.5


async def wait_until(
    containers: Callable[[], list[Container]], condition: str, changes: Changes, *, timeout: float | None
) -> str:
    """Waits until the containers meet ``condition``. Answers what is in the way for good, or that ``timeout`` seconds
    have passed; empty when all is well."""
    deadline = None if timeout is None else time.monotonic() + timeout

    def decided() -> bool:
        met, problem = condition_state(containers(), condition)
        return met or bool(problem)

    def undone() -> bool:
        return not condition_state(containers(), condition)[0]

    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not await changes.until(decided, timeout=left):
            return f"not within {timeout:g} seconds"
        _, problem = condition_state(containers(), condition)
        lasting = RUNS_FOR if condition == "running_or_healthy" and any(map(_unproven, containers())) else 0.0
        if problem or not lasting or not await changes.until(undone, timeout=lasting):
            return problem


def _unproven(container: Container) -> bool:
    """It runs, and that is all there is to know."""
    return container.alive and container.definition.supervision.health is None


def condition_state(containers: list[Container], condition: str) -> tuple[bool, str]:
    """Whether ``containers`` meet ``condition`` (see ``model.plan.WaitFor``); and why they never will, if so."""
    verdicts = [_CONDITIONS[condition](container) for container in containers]
    for container, (_, problem) in zip(containers, verdicts, strict=True):
        if problem:
            return False, f"container {container.name} {problem}"
    return bool(containers) and all(met for met, _ in verdicts), ""


def failing(containers: list[Container], condition: str) -> list[Container]:
    """Those that are in the way of ``condition`` for good, or else those that do not meet it (yet)."""
    states = [(item, *_CONDITIONS[condition](item)) for item in containers]
    return [item for item, _, problem in states if problem] or [item for item, met, _ in states if not met]


def _started(container: Container) -> tuple[bool, str]:
    return container.state.started_ns > 0, ""


def _healthy(container: Container) -> tuple[bool, str]:
    if container.definition.supervision.health is None:
        return False, "has no health check"
    if container.alive:
        health = container.state.health
        return health == "healthy", "is unhealthy" if health == "unhealthy" else ""
    return False, _ended(container)


def _completed(container: Container) -> tuple[bool, str]:
    if container.waits_for_its_time:  # a run that fails is followed by another one
        return container.succeeded, ""
    if container.phase is not Phase.EXITED:
        return False, ""
    return container.succeeded, "" if container.succeeded else exit_text(container.state)


def _running_or_healthy(container: Container) -> tuple[bool, str]:
    if container.phase is Phase.EXITED and container.succeeded:
        return True, ""
    if container.waits_for_its_time:
        return True, ""
    if container.phase is Phase.RESTARTING:
        return False, f"{exit_text(container.state)} and is being restarted"
    if container.definition.supervision.health is not None:
        return _healthy(container)
    return container.alive, "" if container.alive else _ended(container)


def _ended(container: Container) -> str:
    return exit_text(container.state) if container.phase is Phase.EXITED else ""


_CONDITIONS = {
    "service_started": _started,
    "service_healthy": _healthy,
    "service_completed_successfully": _completed,
    "running_or_healthy": _running_or_healthy,
}
