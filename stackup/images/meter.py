"""How far a transfer is: a row for each layer, the rate, and the time that is left. Fed by its threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

EVERY = 0.1  # seconds between two reports, unless something else than a number has changed
WINDOW = 4.0  # seconds over which the rate is taken
SHORT = 12  # digits of a digest that people are shown

Tell = Callable[[dict[str, Any]], None]

WAITING, HERE, DOWNLOADING, UNPACKING, DONE = "waiting", "here", "downloading", "unpacking", "done"
UPLOADING, COMPRESSING, MOUNTED = "uploading", "compressing", "mounted"
_OVER = (HERE, DONE, MOUNTED)


@dataclass
class Row:
    """``size`` and ``done`` in bytes; ``moved`` of them since ``began``, a time of the clock."""

    name: str
    size: int
    state: str = WAITING
    done: int = 0
    moved: int = 0
    began: float = 0.0

    def to_json(self, now: float) -> dict[str, Any]:
        span = now - self.began
        rate = round(self.moved / span) if self.moved and span > 0 else 0
        return {"id": self.name, "state": self.state, "done": self.done, "size": self.size, "rate": rate}


class Meter:
    """Tells ``progress`` events: {"layers": [{"id", "state", "done", "size", "rate"}], "rate": bytes a second,
    "left": seconds or None}, and a line of text for each layer that has come in."""

    def __init__(self, tell: Tell, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[str, Row] = {}
        self._told = 0.0
        self._samples: deque[tuple[float, int]] = deque()
        self._moved = 0

    def add(self, digest: str, size: int) -> None:
        with self._lock:
            self._rows[digest] = Row(digest.removeprefix("sha256:")[:SHORT], size)

    def state(self, digest: str, state: str, text: str = "") -> None:
        with self._lock:
            row = self._rows.get(digest)
            if row is None or row.state == state:
                return
            row.state = state
            if state in _OVER:
                row.done = row.size
            self._report(f"{row.name}: {text or state}" if text or state in _OVER else "")

    def arrived(self, digest: str, done: int, moved: int) -> None:
        """``done`` bytes of it altogether, ``moved`` of them just now."""
        with self._lock:
            row = self._rows.get(digest)
            if row is None:
                return
            row.done = done
            if not row.moved:
                row.began = self._clock()  # the first bytes came in no time
            row.moved += moved
            self._moved += moved
            if self._clock() - self._told >= EVERY:
                self._report()

    def resize(self, digest: str, size: int) -> None:
        """Of a layer whose size turns out only when it is compressed."""
        with self._lock:
            if digest in self._rows:
                self._rows[digest].size = size

    def say(self, text: str) -> None:
        with self._lock:
            self._tell({"event": "progress", "kind": "note", "text": text})

    def _report(self, text: str = "") -> None:
        now = self._told = self._clock()
        self._samples.append((now, self._moved))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW:
            self._samples.popleft()
        (began, before), span = self._samples[0], 0.0
        span = now - began
        rate = (self._moved - before) / span if span > 0 else 0.0
        missing = sum(row.size - row.done for row in self._rows.values() if row.state not in _OVER)
        event: dict[str, Any] = {
            "event": "progress",
            "kind": "transfer",
            "layers": [row.to_json(now) for row in self._rows.values()],
            "rate": round(rate),
            "left": round(missing / rate, 1) if rate > 0 and missing else None,
        }
        if text:
            event["text"] = text
        self._tell(event)
