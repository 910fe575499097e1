"""Carries a request through: prints its events as they come, and turns Ctrl-C into a cancellation."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from stackup.base.clock import now_ns
from stackup.base.errors import StackupError
from stackup.cli import report
from stackup.cli.asking import grouped
from stackup.cli.client import Client, Event
from stackup.cli.lastwords import LastWords
from stackup.cli.loglines import LogPrinter
from stackup.cli.progress import Progress, opening, progress
from stackup.cli.session import Session
from stackup.cli.terminal import Console

CANCELLING = "Cancelling... (press Ctrl+C again to force)"
STOPPING = "Gracefully stopping... (press Ctrl+C again to force)"
INTERRUPTED = 130
SHOWN_BY_ERROR = 20  # last lines of its output that a failed build has in its error


@dataclass
class Outcome:
    """What came of a request. ``plan`` is the first plan that was announced."""

    exit_code: int = 0
    result: Any = None
    plan: Event | None = None
    errors: list[StackupError] = field(default_factory=list)
    interrupts: int = 0

    def show_errors(self, console: Console) -> None:
        for error in grouped(self.errors):
            report.show(error, console)


@dataclass
class Follower:
    """Prints one request's events. Without a ``client`` the supervisor is started where none runs. ``on_exited`` hears
    of every container that ends; ``cancellable`` says that Ctrl-C is the supervisor's to answer; errors that are
    ``held_back`` are left for the caller to print."""

    session: Session
    client: Client | None
    title: str
    logs: LogPrinter | None = None
    on_exited: Callable[[Event], None] | None = None
    on_happened: Callable[[Event], None] | None = None  # hears what ``events`` shows
    interrupt_text: str = CANCELLING
    cancellable: bool = True
    outcome: Outcome = field(default_factory=Outcome)
    progress: Progress = field(init=False)
    held_back: tuple[type[StackupError], ...] = ()
    stopping: bool = False
    hurries: bool = False  # whoever presses Ctrl-C does not want to see all that he has not seen yet
    last_words: LastWords | None = None

    def __post_init__(self) -> None:
        self.progress = progress(self.session.console, self.title)

    def run(self, verb: str, args: dict[str, Any], *, fds: Sequence[int] = ()) -> Outcome:
        """Answers when ``done`` came. Errors are printed; the exit code is in the outcome."""
        gc.enable()
        at_once = self.session.at_once
        if at_once is not None:
            args = {**args, "parallel": at_once}
        try:
            with self._interrupts():
                client = self.client = self.client or opening(self.progress, self.session)
                for event in client.request(verb, args, files=self.session.files(), fds=fds):
                    self.take(event)
        finally:
            if self.last_words is not None:
                with self.progress.beside():
                    self.last_words.close()
            self.progress.finish()
            if self.client is not None:
                self.client.close()
        if not any(isinstance(error, self.held_back) for error in self.outcome.errors):
            self.outcome.show_errors(self.session.console)
        if self.outcome.interrupts:
            self.outcome.exit_code = INTERRUPTED
        elif self.outcome.errors and self.outcome.exit_code == 0:
            self.outcome.exit_code = self.outcome.errors[0].exit_code
        return self.outcome

    def cancel(self, how: str) -> None:
        """See ``Client.cancel``. Before anything was asked, the command just ends."""
        if self.client is None:
            raise KeyboardInterrupt
        self.client.cancel(how)

    def take(self, event: Event) -> None:
        """One event. Kinds that this version does not know are passed over."""
        match event["event"]:
            case "plan":
                self._plan(event)
            case "action":
                self.progress.action(event)
                if event["state"] == "failed":
                    self._last_words(event["id"])
                if event.get("error"):
                    self.outcome.errors.append(StackupError.from_dict(event["error"]))
                if self.progress.board.settled:
                    self.progress.finish()
            case "progress":
                self.progress.detail(event)
            case "source":
                if self.logs is not None:
                    self.logs.announce([(event["name"], event["service"])])
            case "log" | "exited":
                self._output(event)
            case "passed over":
                if self.last_words is not None:
                    self.last_words.passed_over(event)
            case "happened":
                if self.on_happened is not None:
                    self.on_happened(event)
            case "notice":
                with self.progress.beside():
                    self.session.console.warn(event["text"])
            case "result":
                self.outcome.result = event["data"]
            case "error":
                self.outcome.errors.append(StackupError.from_dict(event["error"]))
            case "done":
                self.outcome.exit_code = event["exit"]

    def _plan(self, event: Event) -> None:
        if self.outcome.plan is None:
            self.outcome.plan = event
        for notice in event.get("notices", ()):
            with self.progress.beside():
                self.session.console.warn(notice)
        if self.logs is not None:
            self.logs.announce(starting(event))
        if self.outcome.interrupts and not self.stopping:
            self.stopping = True
            self.progress.retitle("stop")
        self.progress.plan(event)

    def _last_words(self, action_id: str) -> None:
        lines = self.progress.output_of(action_id)[:-SHOWN_BY_ERROR]
        if lines:
            with self.progress.beside():
                self.session.console.say("\n".join(["what it printed, up to its last lines:", *lines]))

    def _output(self, event: Event) -> None:
        shown = self.last_words or self.logs
        if shown is not None:
            with self.progress.beside():
                shown.log(event) if event["event"] == "log" else shown.exited(event)
        if event["event"] == "exited" and self.on_exited is not None:
            self.on_exited(event)

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """First signal: graceful; second: kill; third: leave at once. A request that only shows something is just
        left, at the first."""

        def handle(number: int, frame: FrameType | None) -> None:
            self.outcome.interrupts += 1
            if self.outcome.interrupts > 2:
                raise KeyboardInterrupt
            if self.outcome.interrupts == 1 and self.client is not None:
                self.progress.interrupt(self.interrupt_text)
                if self.hurries and self.logs is not None:
                    self.last_words = LastWords(self.logs, now_ns())
                    self.client.send({"hurry": True})
            self.cancel("graceful" if self.outcome.interrupts == 1 else "kill")

        numbers = (signal.SIGINT, signal.SIGTERM) if self.cancellable else ()
        before = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def starting(plan: Event) -> Iterator[tuple[str, str]]:
    """Names and services of the containers that a plan starts."""
    for action in plan["actions"]:
        if action["verb"] == "start" and "service" in action:
            yield action["name"], action["service"]
