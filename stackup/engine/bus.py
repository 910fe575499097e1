"""Events inside the supervisor: whoever watches a project subscribes; whoever changes it publishes.

Queues are bounded. A subscriber that does not keep up is cut off (``overflow``), never waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Event = dict[str, Any]
QUEUE_LIMIT = 10_000


class Subscription:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE_LIMIT)
        self.overflow = False

    async def next(self) -> Event:
        return await self.queue.get()


class Bus:
    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def publish(self, event: Event) -> None:
        for subscription in self._subscriptions:
            try:
                subscription.queue.put_nowait(event)
            except asyncio.QueueFull:
                subscription.overflow = True

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
