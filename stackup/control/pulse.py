"""Watches that the supervisor's loop is never held up: names must resolve and output must move while others work."""

from __future__ import annotations

import selectors
import time
from typing import Any

from stackup.base import log

LIMIT = 0.020  # seconds that callbacks may run before the loop looks for events again


class WatchedSelector(selectors.EpollSelector):
    """Says on standard error (the supervisor's log) when a round of callbacks took longer than ``LIMIT``."""

    def __init__(self) -> None:
        super().__init__()
        self._woke = time.monotonic()
        self.longest = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        busy = time.monotonic() - self._woke
        if busy > self.longest:
            self.longest = busy
            if busy > LIMIT:
                log.note(f"the loop was held up for {busy * 1000:.0f} ms")
        ready = super().select(timeout)
        self._woke = time.monotonic()
        return ready
