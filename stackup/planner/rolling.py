"""Rolling updates (``deploy.update_config``, ``rollback_config``): a few containers of a service at a time, each batch
watched before the next one begins. Defaults are Swarm's (swarmkit api/defaults/service.go).
"""

from __future__ import annotations

from collections.abc import Sequence

from stackup.base.errors import PlanRefused
from stackup.base.values import frozen
from stackup.model.plan import Pause, Watch
from stackup.model.stack import Service, UpdateConfig
from stackup.planner.desired import Desired
from stackup.planner.draft import Draft
from stackup.planner.replicas import CUT_SHORT
from stackup.planner.work import Step, Work

MONITOR = 5.0  # seconds
CONTINUE, ROLLBACK = "continue", "rollback"
FAILURES = (CONTINUE, "pause", ROLLBACK)
ORDERS = ("stop-first", "start-first")


@frozen
class Rolling:
    """``parallelism`` 0: all at once. ``tolerated``: how many may fail; -1: any number. ``source`` names the section
    of the stack file."""

    source: str
    parallelism: int
    delay: float
    monitor: float
    start_first: bool
    tolerated: int
    rollback: bool


def rolling_of(desired: Desired, service: Service, count: int) -> Rolling | None:
    """How ``count`` containers of ``service`` are to be replaced; None: all at once, and nobody watches."""
    deploy = service.deploy
    source, wanted = "update_config", deploy.update_config if deploy else None
    if desired.rollback and deploy and deploy.rollback_config:
        source, wanted = "rollback_config", deploy.rollback_config
    if wanted is None or not count:
        return None
    failure = wanted.failure_action or "pause"
    _check(service.name, source, "failure_action", failure, FAILURES)
    _check(service.name, source, "order", wanted.order or "stop-first", ORDERS)
    return Rolling(
        source,
        1 if wanted.parallelism is None else wanted.parallelism,
        wanted.delay or 0.0,
        MONITOR if wanted.monitor is None else wanted.monitor,
        wanted.order == "start-first",
        _tolerated(wanted, failure, count),
        failure == ROLLBACK and not desired.rollback,
    )


def _check(service: str, source: str, key: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise PlanRefused(
            f"cannot update service {service}: {key} {given!r} is none of {', '.join(known)}",
            about=f"services.{service}.deploy.{source}.{key}",
        )


def _tolerated(wanted: UpdateConfig, failure: str, count: int) -> int:
    return -1 if failure == CONTINUE else int((wanted.max_failure_ratio or 0.0) * count)


def roll(draft: Draft, work: Work, rolling: Rolling) -> None:
    """Puts the replacements of ``work`` into a row of batches."""
    steps = sorted(work.steps, key=lambda step: not step.begun)  # where an earlier one stopped, this one goes on
    size = rolling.parallelism or len(steps)
    before: list[str] = []
    for first in range(0, len(steps), size):
        batch = steps[first : first + size]
        number, last = first // size + 1, first + size >= len(steps)
        for step in batch:
            begin = step.start if rolling.start_first else step.stop or step.remove or step.start
            if begin:
                draft.after(begin, before)
        watch = draft.add(_watch(work.name, rolling, number, batch))
        if not all(step.start for step in batch):
            draft.after(watch, before)
        if rolling.start_first:
            for step in batch:
                if step.stop or step.remove:
                    draft.after(step.stop or step.remove, [watch])
        before = [watch, *(step.remove for step in batch if step.remove)]
        if rolling.delay and not last:
            pause = Pause(
                f"pause {work.name} {number}",
                f"{rolling.source}.delay",
                tuple(before),
                service=work.name,
                seconds=rolling.delay,
            )
            before = [draft.add(pause)]


def _watch(service: str, rolling: Rolling, number: int, batch: Sequence[Step]) -> Watch:
    return Watch(
        f"watch {service} {number}",
        f"{rolling.source}.monitor" if any(step.create for step in batch) else CUT_SHORT,
        tuple(step.start for step in batch if step.start),
        service=service,
        names=tuple(step.name for step in batch),
        ids=tuple(step.container_id for step in batch),
        seconds=rolling.monitor,
        tolerated=rolling.tolerated,
        rollback=rolling.rollback,
        withdraw=rolling.start_first and all(step.remove for step in batch),
    )
