"""What a build tells while it runs: frozen values, JSON on the way out of the worker process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ClassVar

from stackup.base.values import frozen


@frozen
class Event:
    kind: ClassVar[str]

    @property
    def text(self) -> str:
        """One line for people."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        return {"event": "progress", "kind": self.kind, "text": self.text, **asdict(self)}


@frozen
class StepStarted(Event):
    """``name`` is the instruction as written, in one line; ``line`` its place in the Dockerfile."""

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
    """Nothing was done: an equal step on an equal base was done before."""

    kind: ClassVar[str] = "cached"

    @property
    def text(self) -> str:
        return f"[{self.stage} {self.number}/{self.total}] CACHED {self.name}"


@frozen
class Output(Event):
    """A line that RUN's command printed; ``stream`` is stdout or stderr. ``stage``: which one, where there are several
    at a time."""

    kind: ClassVar[str] = "output"
    stream: str
    line: str
    stage: str = ""

    @property
    def text(self) -> str:
        return f"[{self.stage}] {self.line}" if self.stage else self.line


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
    kind: ClassVar[str] = "warning"
    message: str

    @property
    def text(self) -> str:
        return f"warning: {self.message}"


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
    image: str
    references: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"built {', '.join(self.references) or self.image}"


OnProgress = Callable[[Event], None]
