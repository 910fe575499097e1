"""Progress alive on a terminal: a frame of rows, redrawn in place ten times a second."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stackup.cli import terminal
from stackup.cli.board import Event, Row, Status
from stackup.cli.layers import moving
from stackup.cli.progress import Progress
from stackup.cli.table import elapsed
from stackup.cli.terminal import Console, paint

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

Segment = tuple[str, str]  # text, colour


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

    def begin(self, text: str, *, at_once: bool) -> None:
        with self.lock:
            self.board.opening = text
            if at_once:
                self._draw()
        self._start()

    def plan(self, event: Event) -> None:
        with self.lock:
            super().plan(event)
        if self.board.rows:
            self._start()
        else:
            self.finish()

    def action(self, event: Event) -> None:
        with self.lock:
            super().action(event)

    def detail(self, event: Event) -> None:
        with self.lock:
            super().detail(event)

    def output_of(self, action_id: str) -> list[str]:
        step = self.board.steps.get(action_id)
        return [f"{step.row.target} | {line}".rstrip() for line in step.row.output] if step else []

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
            if self.board.rows:
                self._draw(last=True)
            else:
                self._write(self._erase())
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
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError:
            self.stopped.set()  # the terminal is gone

    def lines(self, columns: int, rows: int) -> Iterator[list[Segment]]:
        """The frame for a terminal of that size: a title, then a row each, as many as fit."""
        board, now = self.board, self.board.clock()
        if board.opening:
            yield cut([(f"[+] {board.title}", "bold"), (f"  {elapsed(now - board.began)}", "dim")], columns - 1)
            text = f"{board.opening}{'…' if self.console.unicode else '...'}"
            yield cut([(f" {self._spinner()} ", COLOURS[Status.RUNNING]), (text, "")], columns - 1)
            return
        telling = [row for row in board.rows.values() if row.telling]
        shown, hidden = fitting(telling, rows - 3)
        title = f"[+] {board.title} {sum(row.left <= 0 for row in telling)}/{len(telling)}"
        yield cut([(title, "bold"), (f"  {elapsed(now - board.began)}", "dim")], columns - 1)
        name_width = max((len(row.target) for row in telling), default=0)
        word_width = max((len(row.word) for row in telling), default=0)
        room = rows - 3 - len(shown)
        for row in shown:
            yield cut(self._row(row, now, name_width, word_width), columns - 1)
            for line in list(self._layers(row))[: max(0, room)]:
                room -= 1
                yield cut([(f"     {line}", "dim")], columns - 1)
        if hidden:
            yield cut([(f"   {'…' if self.console.unicode else '...'} {hidden} more", "dim")], columns - 1)

    def _layers(self, row: Row) -> Iterator[str]:
        return moving(row.transfer, unicode=self.console.unicode) if row.transfer else iter(())

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
            return self._spinner()
        return (MARKS if self.console.unicode else MARKS_ASCII)[row.status]

    def _spinner(self) -> str:
        spinner = SPINNER if self.console.unicode else SPINNER_ASCII
        return spinner[self.ticks % len(spinner)]


def fitting(rows: list[Row], limit: int) -> tuple[list[Row], int]:
    """At most ``limit`` rows, in order, and how many were left out: finished ones go first, then those not begun."""
    if len(rows) <= limit:
        return rows, 0
    limit = max(1, limit - 1)  # one line says how many are hidden
    rank = {Status.FAILED: 0, Status.RUNNING: 1, Status.PENDING: 2, Status.SKIPPED: 3, Status.DONE: 4}
    chosen = sorted(range(len(rows)), key=lambda index: (rank[rows[index].status], index))[:limit]
    return [rows[index] for index in sorted(chosen)], len(rows) - limit


def cut(segments: list[Segment], width: int) -> list[Segment]:
    """As much of the segments as fits into ``width`` columns, in whole parts or words."""
    result: list[Segment] = []
    for text, colour in segments:
        if width <= 0:
            break
        result.append((text if len(text) <= width else shortened(text, width), colour))
        width -= len(text)
    return result


def shortened(text: str, width: int) -> str:
    """Up to the last two spaces, which stand between parts; else up to the last word; else what fits."""
    for gap in ("  ", " "):
        kept = text[: max(0, text.rfind(gap, 0, width + len(gap)))].rstrip()
        if kept:
            return kept
    return text[:width]
