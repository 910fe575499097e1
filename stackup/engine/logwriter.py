"""Moves a container's output from its FIFO into a file with splice(2), so that kill -9 can lose nothing.

read-then-write loses what was read when the process dies in between; splice moves pages inside the kernel. The time
index is written after the move; what a killed supervisor left without an entry gets its successor's time.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

from stackup.base.clock import now_ns
from stackup.engine.logreader import ENTRY

CHUNK = 1 << 20
ROUNDS = 16  # moves before other work of the loop gets its turn


class LogWriter:
    """One stream of one container: FIFO -> ``NAME.log`` + ``NAME.idx``. ``on_data`` is called after each move."""

    def __init__(
        self, fifo: Path, directory: Path, stream: str, on_data: Callable[[], None], *, source: int = -1
    ) -> None:
        """``directory`` exists. ``source``: an open descriptor to read instead of ``fifo`` (a console); it is owned from now on."""
        self._on_data = on_data
        self._source = source if source >= 0 else os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._console = source >= 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        self._log = os.open(directory / f"{stream}.log", flags, 0o640)
        self._index = os.open(directory / f"{stream}.idx", flags, 0o640)
        self._offset = os.lseek(self._log, 0, os.SEEK_END)
        self._repair_index(directory / f"{stream}.idx")
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._source, self._readable)
        self._retry: asyncio.TimerHandle | None = None
        self.blocked = ""  # why output is not being taken, e.g. "No space left on device"

    def _repair_index(self, path: Path) -> None:
        """Bytes that a killed predecessor moved but did not note get an entry with the present time."""
        size = os.lseek(self._index, 0, os.SEEK_END)
        size -= size % ENTRY.size
        os.ftruncate(self._index, size)
        os.lseek(self._index, size, os.SEEK_SET)
        noted = 0
        if size:
            with path.open("rb") as file:
                file.seek(size - ENTRY.size)
                noted = ENTRY.unpack(file.read(ENTRY.size))[0]
        if self._offset > noted:
            self._note(now_ns())

    def _note(self, time_ns: int) -> None:
        os.write(self._index, ENTRY.pack(self._offset, time_ns))

    def _readable(self) -> None:
        for _ in range(ROUNDS):
            if not self._move():
                return

    def _move(self) -> bool:
        """Moves what is there; False when there is nothing (more) to move."""
        time_ns = now_ns()
        try:
            moved = (
                self._read_console() if self._console else os.splice(self._source, self._log, CHUNK, flags=_NONBLOCK)
            )
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.EIO and self._console:
                self.close()  # the last process on the terminal is gone
                return False
            self._pause(error)
            return False
        if moved <= 0:
            if self._console:
                self.close()
            return False
        self._offset += moved
        self._note(time_ns)
        self.blocked = ""
        self._on_data()
        return True

    def _read_console(self) -> int:
        return os.write(self._log, os.read(self._source, CHUNK))

    def _pause(self, error: OSError) -> None:
        """A full disk is back-pressure: nothing is thrown away, the container waits in write(2)."""
        self.blocked = error.strerror or str(error)
        self._loop.remove_reader(self._source)
        self._retry = self._loop.call_later(1.0, self._resume)

    def _resume(self) -> None:
        self._retry = None
        if self._source >= 0:
            self._loop.add_reader(self._source, self._readable)

    def drain(self) -> None:
        """Takes everything that is still in the FIFO; called when the container has ended."""
        while self._source >= 0 and self._move():
            pass

    def close(self) -> None:
        if self._source < 0:
            return
        if self._retry:
            self._retry.cancel()
        self._loop.remove_reader(self._source)
        for fd in (self._source, self._log, self._index):
            os.close(fd)
        self._source = -1


_NONBLOCK = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
