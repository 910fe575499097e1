"""How coroutines wait for each other: until something about a service is true, or for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Turn:
    """One does it, the others wait and then know how it went: ``failures`` has grown when it failed meanwhile."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    failures: int = 0


class Changes:
    """``notify`` wakes everybody who waits on ``until``; a wake-up is never lost between check and wait."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def until(self, predicate: Callable[[], bool], *, timeout: float | None = None) -> bool:
        """Waits until ``predicate`` holds; False when ``timeout`` seconds passed first (None: no limit)."""
        try:
            async with asyncio.timeout(timeout):
                while not predicate():
                    await self._event.wait()
        except TimeoutError:
            return predicate()
        return True
