"""The state of a running plan, object by object: a row each, fed by events, without any output."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stackup.base.escapes import harmless
from stackup.cli.layers import summary

Event = dict[str, Any]

OUTPUT_LINES = 50  # of a failed build, shown above its error
WORDS = {
    "build": ("building", "built"),
    "pull": ("pulling", "pulled"),
    "push": ("pushing", "pushed"),
    "publish": ("publishing", "published"),
    "create": ("creating", "created"),
    "update": ("updating", "updated"),
    "start": ("starting", "started"),
    "stop": ("stopping", "stopped"),
    "kill": ("killing", "killed"),
    "remove": ("removing", "removed"),
    "import": ("importing", "imported"),
    "verify": ("verifying", "verified"),
    "watch": ("watching", "steady"),
    "pause": ("pausing", "paused"),
    "unpause": ("unpausing", "unpaused"),
    "wait": ("waiting", "ready"),
}
# What a wait ended in, by the end of its action's text (model.plan.WaitFor.describe).
WAITED = {
    "is healthy": "healthy",
    "has started": "started",
    "has completed successfully": "completed",
    "is running or healthy": "ready",
}


class Status(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass
class Row:
    """One object of the plan. ``left`` counts its actions that have not ended; times are those of the given clock;
    ``output`` is the end of what its actions have printed; ``transfer`` is how far its layers are (``cli.layers``);
    ``acted`` says that something is done to it, and it is not
    only waited for."""

    target: str
    left: int = 0
    status: Status = Status.PENDING
    word: str = ""
    detail: str = ""
    began: float | None = None
    ended: float | None = None
    acted: bool = False
    transfer: Event | None = None
    did: str = ""  # instead of the verb's own word
    output: deque[str] = field(default_factory=lambda: deque(maxlen=OUTPUT_LINES))

    @property
    def telling(self) -> bool:
        """False for a wait that never began: that of the service's containers is said already."""
        return self.acted or self.status is not Status.SKIPPED

    def seconds(self, now: float) -> float:
        if self.began is None:
            return 0.0
        return (now if self.ended is None else self.ended) - self.began


@dataclass(frozen=True)
class Step:
    """An action as the board knows it."""

    verb: str
    row: Row
    text: str

    def doing(self) -> str:
        return WORDS.get(self.verb, (f"{self.verb}ing", ""))[0]

    def undone(self) -> str:
        """What could not be done."""
        return self.verb

    def did(self) -> str:
        if self.row.did:
            return self.row.did
        if self.verb == "wait":
            return next((word for end, word in WAITED.items() if self.text.endswith(end)), "ready")
        return WORDS.get(self.verb, ("", f"{self.verb}ed"))[1]


@dataclass
class Board:
    """``title`` names the command, ``clock`` answers seconds."""

    title: str
    clock: Callable[[], float]
    rows: dict[str, Row] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    began: float = 0.0
    opening: str = ""  # what is said of the project until there is a plan

    def __post_init__(self) -> None:
        self.began = self.clock()

    def plan(self, event: Event) -> None:
        """A further plan replaces what the one before had not begun: after a build, all is decided anew."""
        self.opening = ""
        self.rows = {target: row for target, row in self.rows.items() if row.status is not Status.PENDING}
        for row in self.rows.values():
            row.left = 0
        self.steps.clear()
        for action in event["actions"]:
            row = self.rows.setdefault(action["target"], Row(action["target"]))
            row.left += 1
            row.acted = row.acted or action["verb"] != "wait"
            self.steps[action["id"]] = Step(action["verb"], row, action.get("text", ""))

    def action(self, event: Event) -> Step | None:
        """Takes an action's new state; None for one that no plan announced."""
        step = self.steps.get(event["id"])
        if step is None:
            return None
        row, now = step.row, self.clock()
        match event["state"]:
            case "started":
                row.status, row.word, row.detail = Status.RUNNING, step.doing(), ""
                row.began = now if row.began is None else row.began
                row.ended = None
            case "done":
                row.left -= 1
                row.word, row.detail, row.transfer = step.did(), "", None
                row.began = now if row.began is None else row.began
                row.ended = now if row.left <= 0 else None
                if row.status not in (Status.FAILED, Status.SKIPPED):
                    row.status = Status.DONE if row.left <= 0 else Status.RUNNING
            case "failed":
                row.left -= 1
                row.status, row.word, row.detail, row.ended = Status.FAILED, "failed", f"cannot {step.undone()}", now
                row.transfer = None
            case "skipped" | "cancelled":
                row.left -= 1
                if row.status is not Status.FAILED:
                    row.status, row.word, row.ended = Status.SKIPPED, event["state"], now
        return step

    def progress(self, event: Event) -> Step | None:
        """What is happening inside a running action: ``text`` is a state ("[2/5] RUN make"), ``lines`` are output."""
        step = self.steps.get(event.get("action", ""))
        if step is None:
            return None
        step.row.did = event.get("did") or step.row.did
        lines = [harmless(line).rstrip() for line in event.get("lines", ())[-OUTPUT_LINES:]]
        said = event.get("text") or next((line for line in reversed(lines) if line), "")
        if event.get("layers"):
            step.row.transfer, step.row.detail = event, summary(event)
        elif said:
            step.row.detail = said.rstrip()
        step.row.output.extend(lines)
        return step

    @property
    def settled(self) -> bool:
        """True when no action is waiting or running."""
        return all(row.left <= 0 for row in self.rows.values())
