"""Ends of processes that were started inside running containers."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stackup.runtime.client import Exit


class Execs:
    """Waits for the ends of exec'ed processes; an end may be told before the start's answer is handled."""

    def __init__(self) -> None:
        self._ends: dict[str, asyncio.Future[Exit]] = {}

    def expect(self, exec_id: str = "") -> str:
        """The id for a process that is about to be started; ``wait`` or ``forget`` must follow."""
        exec_id = exec_id or f"exec-{os.urandom(8).hex()}"
        self._ends[exec_id] = asyncio.get_running_loop().create_future()
        return exec_id

    def ended(self, event: Exit) -> None:
        """Ends that nobody waits for (detached, cancelled, of a supervisor before) are of no interest."""
        future = self._ends.get(event.id)
        if future is not None and not future.done():
            future.set_result(event)

    async def wait(self, exec_id: str) -> Exit:
        """May be called again when it was cancelled; ``forget`` after the last time."""
        end = await asyncio.shield(self._ends[exec_id])
        self.forget(exec_id)
        return end

    def forget(self, exec_id: str) -> None:
        self._ends.pop(exec_id, None)
