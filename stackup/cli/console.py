"""This terminal and a container's console, joined: raw mode, both directions, window size."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import struct
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from stackup.base.errors import StackupError
from stackup.cli import report
from stackup.cli.asking import exit_code, grouped
from stackup.cli.client import Client, Event
from stackup.cli.session import Session

BLOCK = 1 << 16


def interactive(session: Session, client: Client, args: dict[str, Any]) -> int:
    """Runs the request on this terminal; answers the command's exit code.

    The console's descriptor comes beside an event; from then on bytes go straight between the two terminals, and the
    supervisor only tells when the command has ended.
    """
    args = {**args, "size": list(window_size(0))}
    events = client.request("exec", args, files=session.files(), fds=(0, 1, 2))
    ending = Ending()
    try:
        for event in events:
            ending.take(event)
            fds = client.take_fds()
            if fds:
                with raw_terminal(0), resizes(0, fds[0]):
                    _join(fds[0], client, lambda: ending.take(next(events, {"event": "done", "exit": 1})))
                os.close(fds[0])
                if ending.done:
                    break
    finally:
        client.close()
    for error in grouped(ending.errors):
        report.show(error, session.console)
    return exit_code(ending.errors, ending.code)


class Ending:
    """What the supervisor says about the command's end."""

    def __init__(self) -> None:
        self.done = False
        self.code = 0
        self.errors: list[StackupError] = []

    def take(self, event: Event) -> bool:
        """True when it was the last event."""
        if event["event"] == "error":
            self.errors.append(StackupError.from_dict(event["error"]))
        elif event["event"] == "done":
            self.done, self.code = True, event["exit"]
        return self.done


def _join(console: int, client: Client, next_event: Callable[[], bool]) -> None:
    """Copies until the command has ended and its last output is out."""
    watched = [0, console, client.fileno()]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if console in ready and not _copy(console, 1):
            return
        if 0 in ready and not _copy(0, console):
            watched.remove(0)
        if client.fileno() in ready and next_event():
            while select.select([console], [], [], 0)[0] and _copy(console, 1):
                pass
            return


def _copy(source: int, target: int) -> bool:
    """Moves what is there; False at the end. A console whose last user is gone answers EIO."""
    try:
        data = os.read(source, BLOCK)
    except OSError as error:
        if error.errno == errno.EIO:
            return False
        raise
    rest = data
    while rest:
        rest = rest[os.write(target, rest) :]
    return bool(data)


@contextmanager
def raw_terminal(fd: int) -> Iterator[None]:
    """Every key goes through, Ctrl-C too; the terminal is as before afterwards."""
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextmanager
def resizes(terminal: int, console: int) -> Iterator[None]:
    """The console has the terminal's size, now and after every change."""

    def copy(number: int = 0, frame: FrameType | None = None) -> None:
        rows, columns = window_size(terminal)
        fcntl.ioctl(console, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    before = signal.signal(signal.SIGWINCH, copy)
    try:
        copy()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def window_size(fd: int) -> tuple[int, int]:
    """Rows and columns; 24 x 80 where nobody knows."""
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))
    except OSError:
        return 24, 80
    return rows, columns
