"""Waiting for events. Nothing in the tests sleeps for a guessed time: each wait ends with what it waits for.

Where the kernel offers an event (a pidfd, a pipe, a socket) it is waited for; where it does not (a cgroup directory
going away, a page being served) the condition is looked at every few milliseconds until a deadline.
"""

from __future__ import annotations

import os
import select
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY = 0.02
# All deadlines are multiplied by it. They end tests that hang; how quick something is, tests/bench measures.
PATIENCE = float(os.environ.get("STACKUP_TEST_PATIENCE", "5"))


def eventually(look: Callable[[], T], what: str = "", timeout: float = 10.0) -> T:
    """The first true answer of ``look``. AssertionErrors count as "not yet"; the last one is told at the deadline."""
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    pause = select.poll()
    while True:
        complaint: object
        try:
            answer = look()
            if answer:
                return answer
            complaint = f"last answer: {answer!r}"
        except AssertionError as error:
            complaint = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or look}: {complaint}")
        pause.poll(LOOK_EVERY * 1000)


def gone(pid: int, timeout: float = 10.0) -> None:
    """Waits for the end of any process, child or not."""
    timeout *= PATIENCE
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(timeout * 1000):
            raise AssertionError(f"process {pid} is still there after {timeout:g} s")
    finally:
        os.close(fd)


def page(url: str, timeout: float = 10.0) -> str:
    """The body behind ``url``, as soon as it is served with status 200."""
    last: list[str] = []

    def look() -> str:
        try:
            with urllib.request.urlopen(url, timeout=2 * PATIENCE) as answer:
                body: str = answer.read().decode()
                return body or " "
        except (urllib.error.URLError, OSError) as error:
            last[:] = [str(error)]
            return ""

    try:
        return eventually(look, f"GET {url}", timeout)
    except AssertionError as error:
        raise AssertionError(f"{error} ({'; '.join(last)})") from None
