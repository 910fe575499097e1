"""Ends of processes that were started inside running containers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stackup.runtime.client import Exit


class Execs:
    """Waits for the ends of exec'ed processes; an end may be told before the start's answer is handled."""

    def __init__(self) -> None:
        self._ends: dict[str, asyncio.Future[Exit]] = {}

    def ended(self, event: Exit) -> None:
        future = self._future(event.id)
        if not future.done():
            future.set_result(event)

    async def wait(self, exec_id: str) -> Exit:
        try:
            return await asyncio.shield(self._future(exec_id))
        finally:
            if self._future(exec_id).done():
                del self._ends[exec_id]

    def forget(self, exec_id: str) -> None:
        self._ends.pop(exec_id, None)

    def _future(self, exec_id: str) -> asyncio.Future[Exit]:
        if exec_id not in self._ends:
            self._ends[exec_id] = asyncio.get_running_loop().create_future()
        return self._ends[exec_id]
