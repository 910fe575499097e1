"""Moves a container's output from its FIFO into a file with splice(2), so that kill -9 can lose nothing.

read-then-write loses what was read when the process dies in between; splice moves pages inside the kernel. The time
index is written after the move; what a killed supervisor left without an entry gets its successor's time. (A console
has no splice: what is read from it and not yet written is lost with the supervisor.)
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import termios
from collections.abc import Callable
from pathlib import Path

from stackup.base.clock import now_ns
from stackup.engine.logreader import ENTRY

CHUNK = 1 << 20
ROUNDS = 16  # moves before other work of the loop gets its turn
RETRY = 0.5  # seconds until a disk that took nothing is tried again


class LogWriter:
    """One stream of one container: FIFO -> ``NAME.log`` + ``NAME.idx``. ``on_data`` is called after each move."""

    def __init__(
        self, fifo: Path | str, directory: Path, stream: str, on_data: Callable[[], None], *, source: int = -1
    ) -> None:
        """``directory`` exists; the files are made when there is something to keep. ``source``: read this descriptor
        (a console) instead of ``fifo``, and own it."""
        self.stream = stream
        self.blocked = ""  # why output is not being taken, e.g. "No space left on device"
        self._on_data = on_data
        self._on_empty: Callable[[], None] | None = None  # set once nobody writes any more
        self._source = source if source >= 0 else os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._console = source >= 0
        self._pending = b""  # read from the console, not written yet
        self._directory = directory
        self._log = self._index = -1
        self._offset = self._index_size = 0
        if os.path.exists(f"{directory}/{stream}.log"):
            self._open_files()  # a predecessor's: what it did not note is noted now
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._source, self._readable)
        self._retry: asyncio.TimerHandle | None = None

    def _open_files(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        if self._index < 0:
            self._index = os.open(self._directory / f"{self.stream}.idx", flags, 0o640)
        self._log = os.open(self._directory / f"{self.stream}.log", flags, 0o640)
        self._offset = os.lseek(self._log, 0, os.SEEK_END)
        self._repair_index(self._directory / f"{self.stream}.idx")

    def _repair_index(self, path: Path) -> None:
        """Bytes that a killed predecessor moved but did not note get an entry with the present time."""
        self._index_size = os.lseek(self._index, 0, os.SEEK_END) // ENTRY.size * ENTRY.size
        noted = 0
        if self._index_size:
            with path.open("rb") as file:
                file.seek(self._index_size - ENTRY.size)
                noted = ENTRY.unpack(file.read(ENTRY.size))[0]
        if self._offset > noted:
            self._note(now_ns())

    def _note(self, time_ns: int) -> None:
        """An entry that the disk does not take is left out: the next one covers its bytes, with a later time."""
        try:
            written = os.pwrite(self._index, ENTRY.pack(self._offset, time_ns), self._index_size)
        except OSError:
            return
        if written == ENTRY.size:
            self._index_size += written

    def _readable(self) -> None:
        for _ in range(ROUNDS):
            if not self._move():
                return

    def _move(self) -> bool:
        """Moves what is there; False when there is nothing (more) to move."""
        time_ns = now_ns()
        try:
            if self._log < 0:
                if not self._has_data():
                    raise BlockingIOError
                self._open_files()
            moved = (
                self._move_console() if self._console else os.splice(self._source, self._log, CHUNK, flags=_NONBLOCK)
            )
        except BlockingIOError:
            self.blocked = ""
            self._is_empty()
            return False
        except OSError as error:
            if error.errno == errno.EIO and self._console:
                self._is_empty()
                self.close()  # the last process on the terminal is gone
            else:
                self._pause(error)
            return False
        if moved <= 0:
            self._is_empty()
            if self._console:
                self.close()
            return False
        self._offset += moved
        self._note(time_ns)
        self.blocked = ""
        self._on_data()
        return True

    def _has_data(self) -> bool:
        count = bytearray(4)
        fcntl.ioctl(self._source, termios.FIONREAD, count)
        return any(count)

    def _move_console(self) -> int:
        data = self._pending or os.read(self._source, CHUNK)
        self._pending = data  # stays when the write fails
        written = os.write(self._log, data) if data else 0
        self._pending = data[written:]
        return written

    def _pause(self, error: OSError) -> None:
        """A full disk is back-pressure: nothing is thrown away, the container waits in write(2)."""
        self.blocked = error.strerror or str(error)
        self._loop.remove_reader(self._source)
        if self._retry is None:
            self._retry = self._loop.call_later(RETRY, self._resume)

    def _resume(self) -> None:
        self._retry = None
        if self._source >= 0:
            self._loop.add_reader(self._source, self._readable)
            self._readable()

    def _is_empty(self) -> None:
        told, self._on_empty = self._on_empty, None
        if told is not None:
            self.close()
            told()

    def drain(self) -> None:
        """Takes what is in the FIFO, as far as the disk takes it."""
        while self._source >= 0 and self._move():
            continue

    def finish(self, on_empty: Callable[[], None]) -> bool:
        """The container has ended: takes everything that is still in the FIFO and closes.

        False when the disk does not take it: then this goes on, and ``on_empty`` is called when it is done.
        """
        self.drain()
        if self._source >= 0 and self.blocked:
            self._on_empty = on_empty
            return False
        self.close()
        return True

    def go_on(self) -> None:
        """The container has started again before ``finish`` was done."""
        self._on_empty = None

    def close(self) -> None:
        if self._source < 0:
            return
        if self._retry:
            self._retry.cancel()
        self._loop.remove_reader(self._source)
        for fd in (self._source, self._log, self._index):
            if fd >= 0:
                os.close(fd)
        self._source = -1


_NONBLOCK = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
