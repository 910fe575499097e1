"""Ends by the clock what a time limit of the socket does not: a peer that sends a byte now and then, header after
header, or a trailer without an end keeps a read going for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TICK = 0.2  # seconds between two looks
_IDLE = 5.0  # seconds without anything to watch after which the thread ends
NEVER = float("inf")


class Watched:
    """Something that may last until ``due``, a time of the clock ``now``. ``late``: it has been ended for that."""

    def __init__(self, end: Callable[[], None], due: float) -> None:
        self.end = end
        self.due = due
        self.late = False


def now() -> float:
    return time.monotonic()


class Watch:
    """For all threads of a transfer. ``end`` of what is watched makes the read under way end, from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: set[Watched] = set()
        self._running = False
        self._over = False

    @contextmanager
    def over(self, end: Callable[[], None], seconds: float = NEVER) -> Iterator[Watched]:
        """Watches during the block; ``due`` may be moved meanwhile."""
        item = Watched(end, now() + seconds)
        with self._lock:
            self._watched.add(item)
            over = self._over
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="watch", daemon=True).start()
        if over:
            end()
        try:
            yield item
        finally:
            with self._lock:
                self._watched.discard(item)

    def end(self) -> None:
        """All that is watched, and what will be."""
        with self._lock:
            self._over = True
            items = list(self._watched)
        for item in items:
            item.end()

    def _run(self) -> None:
        busy = now()
        while True:
            time.sleep(_TICK)
            at = now()
            with self._lock:
                if self._watched:
                    busy = at
                elif at - busy > _IDLE:
                    self._running = False
                    return
                late = [item for item in self._watched if at > item.due]
            for item in late:
                item.late = True
                item.end()
