"""What the engine sees of the user who asked: events out, cancel and messages in. ``control.server`` implements it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Session(Protocol):
    """One running request."""

    fds: list[int]  # that came with the request; the session closes what is left of them
    cancel_mode: str  # "", "graceful" or "kill"
    cancelled: asyncio.Event  # set at the first cancel message
    killed: asyncio.Event  # set when the user wants the end at once
    closed: asyncio.Event  # set when the user is gone
    taps: list[Callable[[dict[str, Any]], None]]  # hear every event that is emitted
    messages: asyncio.Queue[dict[str, Any]]  # other messages, e.g. a new window size

    def emit(self, event: dict[str, Any]) -> None:
        """Queues an event; never blocks."""

    async def drain(self) -> None:
        """Waits until what was emitted has left; returns at once when the user is gone."""

    async def emit_with_fds(self, event: dict[str, Any], fds: Sequence[int]) -> None:
        """Sends an event with descriptors beside it."""
