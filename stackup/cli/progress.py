"""Shows a ``Board``: alive on a terminal, a line an event in a pipe, JSON lines for programs, or not at all."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from stackup.cli import terminal
from stackup.cli.board import Board, Event, Row, Status, Step
from stackup.cli.table import elapsed
from stackup.cli.terminal import Console, paint

if TYPE_CHECKING:
    from stackup.cli.session import Session

TICK = 0.1  # seconds between two frames
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SPINNER_ASCII = "|/-\\"
MARKS = {Status.PENDING: "·", Status.DONE: "✔", Status.FAILED: "✘", Status.SKIPPED: "-"}
MARKS_ASCII = {Status.PENDING: ".", Status.DONE: "+", Status.FAILED: "x", Status.SKIPPED: "-"}
COLOURS = {
    Status.PENDING: "dim",
    Status.RUNNING: "cyan",
    Status.DONE: "green",
    Status.FAILED: "red",
    Status.SKIPPED: "dim",
}
SLOW = ("build", "pull", "import", "wait", "stop")  # a pipe hears of their beginning too

Segment = tuple[str, str]  # text, colour


class Progress:
    """The quiet one, and the base of the others."""

    def __init__(self, console: Console, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.board = Board(title, clock)

    def plan(self, event: Event) -> None:
        if self.board.rows and self.board.settled:
            self.finish()
            self.board = Board(self.board.title, self.board.clock)
        self.board.plan(event)

    def action(self, event: Event) -> None:
        self.board.action(event)

    def detail(self, event: Event) -> None:
        self.board.detail(event["id"], event["text"])

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
        step = self.board.action(event)
        line = self._line(event, step) if step else ""
        if line:
            self.console.say(line)

    @staticmethod
    def _line(event: Event, step: Step) -> str:
        target = step.row.target
        match event["state"]:
            case "started":
                return f"{target}: {step.doing()}" if step.verb in SLOW else ""
            case "done":
                return f"{target}: {step.did()} ({elapsed(event.get('ms', 0) / 1000)})"
            case "failed":
                return f"{target}: cannot {step.verb} ({elapsed(event.get('ms', 0) / 1000)})"
            case _:
                return f"{target}: {event['state']}"


class LiveProgress(Progress):
    """A frame of rows that is redrawn in place. Safe against resizing: what the last frame takes up is computed anew
    from the width the terminal has now, because terminals wrap old lines when they shrink."""

    def __init__(self, console: Console, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, title, clock)
        self.lock = threading.RLock()
        self.fd = console.err.fileno()
        self.frame: list[int] = []  # visible width of each line of the last frame
        self.pending_text = ""
        self.stopped = threading.Event()
        self.thread: threading.Thread | None = None
        self.ticks = 0

    def plan(self, event: Event) -> None:
        with self.lock:
            super().plan(event)
        if event["actions"]:
            self._start()

    def action(self, event: Event) -> None:
        with self.lock:
            super().action(event)

    def detail(self, event: Event) -> None:
        with self.lock:
            super().detail(event)

    def _start(self) -> None:
        if self.thread is None:
            self.stopped.clear()
            self.thread = threading.Thread(target=self._run, name="progress", daemon=True)
            self.thread.start()

    def _run(self) -> None:
        while not self.stopped.wait(TICK if self.ticks else TICK / 2):
            with self.lock:
                self.ticks += 1
                self._draw()

    def finish(self) -> None:
        thread, self.thread = self.thread, None
        if thread is None:
            return
        self.stopped.set()
        thread.join()
        with self.lock:
            self._draw(last=True)
            self.frame = []

    @contextmanager
    def beside(self) -> Iterator[None]:
        with self.lock:
            self._write(self._erase())
            self.frame = []
            yield

    def interrupt(self, text: str) -> None:
        if self.thread is None:
            super().interrupt(text)
        else:
            self.pending_text += text + "\n"  # the ticking thread prints it

    def _draw(self, *, last: bool = False) -> None:
        columns, rows = terminal.size(self.fd)
        lines = list(self.lines(columns, 1 << 30 if last else rows))
        output = self._up(columns)
        if self.pending_text:
            output += f"\033[J{self.pending_text}"
            self.pending_text = ""
        for segments in lines:
            text = "".join(paint(part, colour) if self.console.colour_err else part for part, colour in segments)
            output += f"{text}\033[K\n"
        self.frame = [sum(len(part) for part, _ in segments) for segments in lines]
        self._write(("" if last else "\033[?25l") + output + "\033[J" + ("\033[?25h" if last else ""))

    def _up(self, columns: int) -> str:
        """To the first column of the last frame's first line."""
        taken = sum(max(1, -(-width // columns)) for width in self.frame)
        return f"\r\033[{taken}A" if taken else "\r"

    def _erase(self) -> str:
        return self._up(terminal.size(self.fd)[0]) + "\033[J\033[?25h" if self.frame else ""

    def _write(self, text: str) -> None:
        data = text.encode(self.console.err.encoding or "utf-8", "replace")
        while data:
            data = data[os.write(self.fd, data) :]

    def lines(self, columns: int, rows: int) -> Iterator[list[Segment]]:
        """The frame for a terminal of that size: a title, then a row each, as many as fit."""
        board, now = self.board, self.board.clock()
        shown, hidden = fitting(list(board.rows.values()), rows - 3)
        title = f"[+] {board.title} {board.finished}/{len(board.rows)}"
        yield cut([(title, "bold"), (f"  {elapsed(now - board.began)}", "dim")], columns - 1)
        name_width = max((len(row.target) for row in board.rows.values()), default=0)
        word_width = max((len(row.word) for row in board.rows.values()), default=0)
        for row in shown:
            yield cut(self._row(row, now, name_width, word_width), columns - 1)
        if hidden:
            yield cut([(f"   {'…' if self.console.unicode else '...'} {hidden} more", "dim")], columns - 1)

    def _row(self, row: Row, now: float, name_width: int, word_width: int) -> list[Segment]:
        colour = COLOURS[row.status]
        time_text = elapsed(row.seconds(now)) if row.began is not None else ""
        return [
            (f" {self._mark(row)} ", colour),
            (row.target.ljust(name_width), "dim" if row.status is Status.PENDING else ""),
            (f"  {row.word.ljust(word_width)}", colour),
            (f"  {time_text:>6}", "dim"),
            (f"  {row.detail}" if row.detail else "", "dim"),
        ]

    def _mark(self, row: Row) -> str:
        if row.status is Status.RUNNING:
            spinner = SPINNER if self.console.unicode else SPINNER_ASCII
            return spinner[self.ticks % len(spinner)]
        return (MARKS if self.console.unicode else MARKS_ASCII)[row.status]


def fitting(rows: list[Row], limit: int) -> tuple[list[Row], int]:
    """At most ``limit`` rows, in order, and how many were left out: finished ones go first, then those not begun."""
    if len(rows) <= limit:
        return rows, 0
    limit = max(1, limit - 1)  # one line says how many are hidden
    rank = {Status.FAILED: 0, Status.RUNNING: 1, Status.PENDING: 2, Status.SKIPPED: 3, Status.DONE: 4}
    chosen = sorted(range(len(rows)), key=lambda index: (rank[rows[index].status], index))[:limit]
    return [rows[index] for index in sorted(chosen)], len(rows) - limit


def cut(segments: list[Segment], width: int) -> list[Segment]:
    """The segments' first ``width`` characters."""
    result: list[Segment] = []
    for text, colour in segments:
        if width <= 0:
            break
        result.append((text[:width], colour))
        width -= len(text)
    return result


def progress(console: Console, title: str) -> Progress:
    """The one that fits the console."""
    kinds = {"tty": LiveProgress, "plain": PlainProgress, "json": JsonProgress}
    return kinds.get(console.progress, Progress)(console, title)


@contextmanager
def single_action(session: Session, verb: str, target: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Shows work that this process does itself, as if it were a plan of one action; the block is given a function
    that says what is happening."""
    console = replace(session.console, progress="quiet") if quiet else session.console
    shown = progress(console, verb)
    began = time.monotonic()

    def state(word: str) -> None:
        shown.action({"event": "action", "id": verb, "state": word, "ms": (time.monotonic() - began) * 1000})

    shown.plan({"event": "plan", "actions": [{"id": verb, "verb": verb, "target": target, "text": f"{verb} {target}"}]})
    state("started")
    try:
        yield lambda text: shown.detail({"event": "progress", "id": verb, "text": text})
        state("done")
    except BaseException:
        state("failed")
        raise
    finally:
        shown.finish()
