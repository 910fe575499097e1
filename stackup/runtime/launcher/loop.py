"""One epoll loop with callbacks per descriptor, timers and a wake-up on signals. Nothing else waits anywhere."""

from __future__ import annotations

import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT


def _guarded(callback: Callable[[], None]) -> None:
    """A mistake in one callback must not end the parent of all containers: it goes to the log."""
    try:
        callback()
    except Exception:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())


class Loop:
    def __init__(self) -> None:
        self._poll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._signals: dict[int, Callable[[], None]] = {}
        self._running = True
        self._wakeup, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        self.watch(self._wakeup, self._signalled)

    def watch(self, fd: int, callback: Callable[[], None], events: int = READ) -> None:
        """Calls back while ``fd`` is ready (level-triggered). Watching it again replaces callback and events."""
        if fd in self._callbacks:
            self._poll.modify(fd, events)
        else:
            self._poll.register(fd, events)
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        if self._callbacks.pop(fd, None):
            self._poll.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timers.append((time.monotonic() + seconds, callback))

    def on_signal(self, number: int, callback: Callable[[], None]) -> None:
        self._signals[number] = callback
        signal.signal(number, lambda *_: None)

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        while self._running:
            for fd, _ in self._poll.poll(self._timeout()):
                callback = self._callbacks.get(fd)
                if callback:
                    _guarded(callback)
            if self._timers:
                self._expire()

    def _timeout(self) -> float:
        if not self._timers:
            return -1
        return max(0.0, min(due for due, _ in self._timers) - time.monotonic())

    def _expire(self) -> None:
        now = time.monotonic()
        due = [item for item in self._timers if item[0] <= now]
        self._timers = [item for item in self._timers if item[0] > now]
        for _, callback in due:
            _guarded(callback)

    def _signalled(self) -> None:
        try:
            numbers = set(os.read(self._wakeup, 4096))
        except BlockingIOError:
            return
        for number in numbers:
            if number in self._signals:
                self._signals[number]()
