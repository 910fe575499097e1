"""Carries out a plan: everything in parallel that may be, nothing whose requirements failed.

``apply`` knows order and failure only; what an action means is the ``Effects`` object's affair.
"""

from __future__ import annotations

import asyncio
import errno
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import field
from enum import StrEnum
from typing import Any, Protocol

from stackup.base.errors import Bug, HostUnfit, StackupError
from stackup.base.values import frozen
from stackup.engine import faults
from stackup.model.plan import Action, Pause, Plan, WaitFor, Watch

Emit = Callable[[dict[str, Any]], None]
# What the machine has no more of, or does not let be changed: the user's to mend, not a mistake of ours.
EXHAUSTED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


WAITING = (WaitFor, Watch, Pause)


class Effects(Protocol):
    """Carries out one action. Raises StackupError; may be cancelled while it waits."""

    def perform(self, action: Action) -> Awaitable[None]: ...


class Outcome(StrEnum):
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"  # something it needs failed
    CANCELLED = "cancelled"


@frozen
class Report:
    """What became of each action. ``errors`` are root causes only, in the order in which they happened."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    errors: list[StackupError] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(outcome is Outcome.DONE for outcome in self.outcomes.values())


async def apply(plan: Plan, effects: Effects, emit: Emit, *, at_once: int = 0) -> Report:
    """Runs the plan's DAG. A failed action skips what depends on it; independent ones go on. At most ``at_once`` at a
    time (0: any number), not counting those that only wait for something.

    When the caller is cancelled, running actions are cancelled and what has not begun never begins.
    """
    report = Report()
    turns = asyncio.Semaphore(at_once) if at_once else None
    finished = {action.id: asyncio.Event() for action in plan.actions}
    async with asyncio.TaskGroup() as group:
        for action in plan.actions:
            group.create_task(_run(action, effects, emit, report, finished, turns), name=action.id)
    return report


async def _run(
    action: Action,
    effects: Effects,
    emit: Emit,
    report: Report,
    finished: dict[str, asyncio.Event],
    turns: asyncio.Semaphore | None,
) -> None:
    for requirement in action.after:
        await finished[requirement].wait()
    begin = time.monotonic()
    outcome = Outcome.CANCELLED
    error: StackupError | None = None
    waived = False  # what was waited for did not come true, and it goes on all the same
    try:
        unmet = any(report.outcomes[requirement] is not Outcome.DONE for requirement in action.after)
        if unmet and not action.tolerant:
            outcome = Outcome.SKIPPED
            return
        async with nullcontext() if turns is None or isinstance(action, WAITING) else turns:
            begin = time.monotonic()
            emit({"event": "action", "id": action.id, "state": "started"})
            faults.instant(f"before {action.describe()}")
            error = await _perform(action, effects)
            if error and isinstance(action, WaitFor) and not action.required:
                emit({"event": "notice", "text": error.message})
                error, waived = None, True
        faults.instant(f"after {action.describe()}")
        outcome = Outcome.FAILED if error else Outcome.DONE
    finally:
        report.outcomes[action.id] = outcome
        if error:
            report.errors.append(error)
        event: dict[str, Any] = {"event": "action", "id": action.id, "state": "skipped" if waived else outcome.value}
        event["ms"] = round((time.monotonic() - begin) * 1000, 1)
        if error:
            event["error"] = error.to_dict()
        emit(event)
        finished[action.id].set()


async def _perform(action: Action, effects: Effects) -> StackupError | None:
    try:
        await effects.perform(action)
    except StackupError as error:
        return error
    except OSError as error:
        if error.errno not in EXHAUSTED:
            return _bug(action, error)
        where = f"{error.filename}: " if error.filename else ""
        return HostUnfit(f"cannot {action.describe()}: {where}{error.strerror}")
    except Exception as error:  # noqa: BLE001 - the border: anything unexpected becomes a Bug with its traceback
        return _bug(action, error)
    return None


def _bug(action: Action, error: Exception) -> Bug:
    text = "".join(traceback.format_exception(error)).rstrip()
    return Bug(f"cannot {action.describe()}: {error!r}", hint="please report this", snippet=text)
