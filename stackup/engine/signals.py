"""A wake-up for coroutines that wait until something about a service is true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


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
