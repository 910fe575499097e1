"""Shows a ``Board``: alive on a terminal, a line an event in a pipe, JSON lines for programs, or not at all."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stackup.cli.board import Board, Event, Status, Step
from stackup.cli.table import elapsed
from stackup.cli.terminal import Console

if TYPE_CHECKING:
    from stackup.cli.client import Client
    from stackup.cli.session import Session

UNDONE = ("skipped", "cancelled")
SLOW = ("build", "pull", "push", "import", "wait", "stop")  # a pipe hears of their beginning too


class Progress:
    """The quiet one, and the base of the others."""

    def __init__(self, console: Console, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.board = Board(title, clock)

    def begin(self, text: str, *, at_once: bool) -> None:
        """Something is on its way, of which no plan is known yet; shown only when it lasts, unless ``at_once``."""

    def plan(self, event: Event) -> None:
        self.board.plan(event)

    def retitle(self, title: str) -> None:
        """What follows is another affair: a board of its own."""
        self.finish()
        self.board = Board(title, self.board.clock)

    def action(self, event: Event) -> None:
        self.board.action(event)

    def detail(self, event: Event) -> None:
        self.board.progress(event)

    def output_of(self, action_id: str) -> list[str]:
        """What a failed action has printed and somebody who watches has not seen yet."""
        return []

    def finish(self) -> None:
        """No more changes: leaves the last state on the screen."""

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Other output may be printed inside the block."""
        yield

    def interrupt(self, text: str) -> None:
        """Prints a line from inside a signal handler: nothing but a write is allowed there."""
        os.write(self.console.err.fileno(), f"{text}\n".encode())


class JsonProgress(Progress):
    def plan(self, event: Event) -> None:
        super().plan(event)
        self.console.say(json.dumps(event))

    def action(self, event: Event) -> None:
        super().action(event)
        self.console.say(json.dumps(event))


class PlainProgress(Progress):
    """``container shop-web-1: started (0.3s)``"""

    def action(self, event: Event) -> None:
        known = self.board.steps.get(event["id"])
        before = known.row.status if known else None
        step = self.board.action(event)
        line = self._line(event, step) if step else ""
        if step and event["state"] in UNDONE and (not step.row.telling or before in (Status.FAILED, Status.SKIPPED)):
            return  # what is not done to an object any more is said once
        if line:
            self.console.say(line)

    def detail(self, event: Event) -> None:
        step = self.board.progress(event)
        if step and event.get("text"):
            self.console.say(f"{step.row.target}: {event['text'].rstrip()}")
        if step and event.get("lines"):
            self.console.say("\n".join(f"{step.row.target} | {line}".rstrip() for line in event["lines"]))

    @staticmethod
    def _line(event: Event, step: Step) -> str:
        target = step.row.target
        match event["state"]:
            case "started":
                return f"{target}: {step.doing()}" if step.verb in SLOW else ""
            case "done":
                return f"{target}: {step.did()} ({elapsed(event.get('ms', 0) / 1000)})"
            case "failed":
                return f"{target}: cannot {step.undone()} ({elapsed(event.get('ms', 0) / 1000)})"
            case _:
                return f"{target}: {event['state']}"


def progress(console: Console, title: str) -> Progress:
    """The one that fits the console."""
    if console.progress == "tty":
        from stackup.cli.live import LiveProgress

        return LiveProgress(console, title)
    kinds = {"plain": PlainProgress, "json": JsonProgress}
    return kinds.get(console.progress, Progress)(console, title)


def opening(shown: Progress, session: Session) -> Client:
    """The project's supervisor. One that has to be started answers after half a second or more: something is to be seen
    at once. ``shown`` must be finished, whatever happens."""
    client = session.connect()
    doing = "working" if client else "starting"
    shown.begin(f"project {session.project}  {doing}", at_once=client is None)
    return client or session.ensure()


@contextmanager
def single_action(session: Session, verb: str, target: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Shows work that this process does itself, as if it were a plan of one action; the block is given a function
    that says what is happening."""
    console = session.console._replace(progress="quiet") if quiet else session.console
    shown = progress(console, verb)
    began = time.monotonic()

    def state(word: str) -> None:
        shown.action({"event": "action", "id": verb, "state": word, "ms": (time.monotonic() - began) * 1000})

    shown.plan({"event": "plan", "actions": [{"id": verb, "verb": verb, "target": target, "text": f"{verb} {target}"}]})
    state("started")
    try:
        yield lambda text: shown.detail({"event": "progress", "action": verb, "text": text})
        state("done")
    except BaseException:
        state("failed")
        raise
    finally:
        shown.finish()
