"""Tasks that nobody awaits, and effects that may not be left half done."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine
from typing import Any

from stackup.base import log
from stackup.base.errors import StackupError

_TASKS: set[asyncio.Task[None]] = set()  # the loop itself holds its tasks only weakly


def spawn(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that nobody awaits: what goes wrong in it stands in the supervisor's log."""
    task = asyncio.get_running_loop().create_task(coroutine)
    _TASKS.add(task)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    _TASKS.discard(task)
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, StackupError):
        log.note("".join(traceback.format_exception(error)))


async def done(task: asyncio.Task[None] | None) -> None:
    """Waits for its end, however it ends."""
    if task is not None and not task.done():
        await asyncio.wait([task])


async def to_the_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """A caller who is cancelled meanwhile waits all the same: half an effect would be one that nobody knows of."""
    task = spawn(coroutine)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await done(task)
        raise
