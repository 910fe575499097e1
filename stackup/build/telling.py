"""A build's events on their way out of the worker, as JSON lines: what commands print goes in batches.

A command may print tens of thousands of lines a second. What comes within a twentieth of a second is one event, in the
order in which it came; everything else goes at once, behind what was printed before it.
"""

from __future__ import annotations

import json
import threading
from typing import Any, TextIO

from stackup.base.escapes import harmless, valid
from stackup.build.progress import Event, Output

_DELAY = 0.05  # seconds
_MOST = 1 << 17  # characters that are held back


class Teller:
    """From several threads. ``quiet``: nobody wants to see what commands print."""

    def __init__(self, out: TextIO, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._out = out
        self._changed = threading.Condition()
        self._held: list[Output] = []
        self._size = 0
        self._thread: threading.Thread | None = None

    def progress(self, event: Event) -> None:
        if not isinstance(event, Output):
            self.tell(event.to_json())
        elif not self.quiet:
            self._hold(event)

    def tell(self, event: dict[str, Any]) -> None:
        with self._changed:
            self._release(_line(event))

    def _hold(self, event: Output) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="telling", daemon=True)
                self._thread.start()
            self._held.append(event)
            self._size += sum(map(len, event.lines)) + len(event.lines)
            if self._size >= _MOST:
                self._release()
            elif len(self._held) == 1:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._held))
            threading.Event().wait(_DELAY)
            with self._changed:
                self._release()

    def _release(self, following: str = "") -> None:
        held, self._held, self._size = self._held, [], 0
        text = "".join(_line(event.to_json()) for event in joined(held)) + following
        if text:
            self._out.write(text)
            self._out.flush()


def joined(events: list[Output]) -> list[Output]:
    """Neighbours of the same stream and stage as one, without what would act on a terminal."""
    groups: list[tuple[Output, list[str]]] = []
    for event in events:
        if not groups or (groups[-1][0].stream, groups[-1][0].stage) != (event.stream, event.stage):
            groups.append((event, []))
        groups[-1][1].extend(event.lines)
    return [
        Output(first.stream, tuple(harmless("\n".join(lines), colours=True).split("\n")), first.stage)
        for first, lines in groups
    ]


def _line(event: dict[str, Any]) -> str:
    return valid(json.dumps(event, ensure_ascii=False)) + "\n"
