"""What a build tells while it runs: frozen values, JSON on the way out of the worker process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ClassVar

from stackup.base.errors import Position
from stackup.base.values import frozen


@frozen
class Event:
    kind: ClassVar[str]

    @property
    def text(self) -> str:
        """One line for people; empty for what need not be shown."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        return {"event": "progress", "kind": self.kind, "text": self.text, **asdict(self)}


@frozen
class StepStarted(Event):
    """``name`` is the instruction as written, in one line; ``line`` its place in the Dockerfile. Counted are those that
    may make a layer."""

    kind: ClassVar[str] = "step"
    stage: str
    number: int
    total: int
    name: str
    line: int

    @property
    def text(self) -> str:
        return f"[{self.stage} {self.number}/{self.total}] {self.name}"


@frozen
class StepCached(StepStarted):
    """Nothing was done: an equal step on an equal base was done before. How many there were is said at the end."""

    kind: ClassVar[str] = "cached"

    @property
    def text(self) -> str:
        return ""


@frozen
class Output(Event):
    """Lines that RUN's command printed; ``stream`` is stdout or stderr. ``stage``: which one, where there are several
    at a time."""

    kind: ClassVar[str] = "output"
    stream: str
    lines: tuple[str, ...]
    stage: str = ""

    @property
    def text(self) -> str:
        return "\n".join(self.shown)

    @property
    def shown(self) -> list[str]:
        return [f"[{self.stage}] {line}" for line in self.lines] if self.stage else list(self.lines)

    def to_json(self) -> dict[str, Any]:
        return {"event": "progress", "kind": self.kind, "stream": self.stream, "lines": self.shown}


@frozen
class StepDone(Event):
    kind: ClassVar[str] = "step-done"
    stage: str
    number: int
    total: int
    ms: int
    size: int

    @property
    def text(self) -> str:
        return f"[{self.stage} {self.number}/{self.total}] done in {self.ms / 1000:.1f} s"


@frozen
class Warned(Event):
    """``file`` and ``line`` of a Dockerfile, or ``about``: what of the stack file, as in ``StackupError``."""

    kind: ClassVar[str] = "warning"
    message: str
    file: str = ""
    line: int = 0
    about: str = ""

    @property
    def text(self) -> str:
        place = f"{Position(self.file, self.line)}: " if self.file else ""
        return f"warning: {place}{self.message}"


@frozen
class Noted(Event):
    kind: ClassVar[str] = "note"
    message: str

    @property
    def text(self) -> str:
        return self.message


@frozen
class Built(Event):
    kind: ClassVar[str] = "built"
    """``steps``: how many were come to, of which ``cached`` had been done before."""

    image: str
    references: tuple[str, ...]
    steps: int = 0
    cached: int = 0

    @property
    def text(self) -> str:
        """Under the first name it was asked for."""
        others = self.references[1:]
        return f"also named {', '.join(others)}" if others else ""

    @property
    def summary(self) -> str:
        if not self.cached:
            return "built"
        if self.cached < self.steps:
            return f"built, {self.cached} of {self.steps} steps cached"
        return f"built, all {self.steps} steps cached" if self.steps > 1 else "built, its only step cached"

    def to_json(self) -> dict[str, Any]:
        return {**Event.to_json(self), "summary": self.summary}


OnProgress = Callable[[Event], None]
