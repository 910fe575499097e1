"""What is still shown of the containers' output after Ctrl-C: the last words of what is being stopped, never a flood.

Whoever presses Ctrl-C while a service prints more than the terminal takes has a backlog before him, and wants the end.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from stackup.cli.client import Event
from stackup.cli.loglines import LogPrinter
from stackup.cli.table import human_size

BACKLOG = 20  # lines of a container that were printed before Ctrl-C and came after it; the others are left out
FRESH = 200  # lines that it prints while it is being stopped; of more, the last ones are held until it has ended
LAST = 20


@dataclass
class _Voice:
    """What one container may still say."""

    backlog: int = BACKLOG
    fresh: int = FRESH
    left_out: int = 0  # bytes
    held: deque[Event] = field(default_factory=deque)

    def hold(self, event: Event) -> None:
        self.held.append(event)
        if len(self.held) > LAST:
            self.left_out += len(self.held.popleft()["text"]) + 1


class LastWords:
    """Stands between the events and ``printer`` from Ctrl-C, at ``since_ns``, on."""

    def __init__(self, printer: LogPrinter, since_ns: int) -> None:
        self._printer = printer
        self._since_ns = since_ns
        self._voices: dict[str, _Voice] = {}

    def log(self, event: Event) -> None:
        voice = self._voice(event)
        lines = event["text"].split("\n")
        if event["time_ns"] < self._since_ns:
            shown, rest = lines[: voice.backlog], lines[voice.backlog :]
            voice.backlog -= len(shown)
            voice.left_out += sum(len(line) + 1 for line in rest)
        else:
            shown, rest = lines[: voice.fresh], lines[voice.fresh :]
            voice.fresh -= len(shown)
            for line in rest:
                voice.hold({**event, "text": line})
        if shown:
            self._printer.log({**event, "text": "\n".join(shown)})

    def passed_over(self, event: Event) -> None:
        """The supervisor did not even send it."""
        self._voice(event).left_out += event["bytes"]

    def exited(self, event: Event) -> None:
        self._finish(event["name"])
        self._printer.exited(event)

    def close(self) -> None:
        """Nothing more comes."""
        for name in list(self._voices):
            self._finish(name)

    def _voice(self, event: Event) -> _Voice:
        return self._voices.setdefault(event["name"], _Voice())

    def _finish(self, name: str) -> None:
        voice = self._voices.pop(name, None)
        if voice is None:
            return
        if voice.left_out:
            short = self._printer.short(name)
            self._printer.flush()
            self._printer.console.say(f"({human_size(voice.left_out)} of {short}'s output left out: see stackup logs)")
        for event in voice.held:
            self._printer.log(event)
