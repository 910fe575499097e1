"""Moves a container's output from its FIFO into files with splice(2), so that kill -9 can lose nothing.

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
from contextlib import suppress
from pathlib import Path

from stackup.base.clock import now_ns
from stackup.base.values import frozen
from stackup.engine.logfiles import CUT, ENTRY, OFFSET, TORN, bases, index_path, log_path

CHUNK = 1 << 20
ROUNDS = 16  # moves before other work of the loop gets its turn
RETRY = 0.5  # seconds until a disk that took nothing is tried again
SMALL_STEP = 10**9  # ns; a clock that goes back by less must not change the order of lines


@frozen
class Limits:
    """How much of each stream is kept: ``max_files`` segments of ``max_size`` bytes. 0: all of it, in one segment."""

    max_size: int = 0
    max_files: int = 1


WITHOUT_LIMITS = Limits()
_last_ns = 0


def stamp() -> int:
    """The time, later than that of any piece that this process took before, so that lines keep the order in which they
    were read, of whatever container. Where the clock was set back for good, its times count."""
    global _last_ns
    now = now_ns()
    _last_ns = _last_ns + 1 if _last_ns - SMALL_STEP < now <= _last_ns else now
    return _last_ns


class LogWriter:
    """One stream of one container: FIFO -> segments (see ``logfiles``). ``on_data`` is called after each move."""

    def __init__(
        self,
        fifo: Path | str,
        directory: Path,
        stream: str,
        on_data: Callable[[], None],
        *,
        source: int = -1,
        limits: Limits = WITHOUT_LIMITS,
    ) -> None:
        """``directory`` exists; the files are made when there is something to keep. ``source``: read this descriptor
        (a console) instead of ``fifo``, and own it."""
        self.stream = stream
        self.blocked = ""  # why output is not being taken, e.g. "No space left on device"
        self._on_data = on_data
        self._on_empty: Callable[[], None] | None = None  # set once nobody writes any more
        self._source = source if source >= 0 else os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._console = source >= 0
        if self._console:
            os.set_blocking(source, False)  # made for a container, which may be silent for ever
        self._pending = b""  # read from the console, not written yet
        self._directory = str(directory)
        self._limits = limits
        self._log = self._index = -1
        self._base = 0  # of the segment that is written, and ...
        self._offset = self._index_size = 0  # ... the end of the stream
        self._cut = -1  # offset at which a line was ended for want of a newline
        if limits.max_size or not os.path.exists(log_path(self._directory, stream, 0)):
            self._base = max(bases(self._directory, stream), default=0)
        if os.path.exists(log_path(self._directory, stream, self._base)):
            self._open_files()  # a predecessor's: what it did not note is noted now
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._source, self._readable)
        self._retry: asyncio.TimerHandle | None = None

    def _open_files(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        if self._index < 0:
            self._index = os.open(index_path(self._directory, self.stream, self._base), flags, 0o640)
        self._log = os.open(log_path(self._directory, self.stream, self._base), flags, 0o640)
        self._offset = self._base + os.lseek(self._log, 0, os.SEEK_END)
        self._repair_index()

    def _repair_index(self) -> None:
        """Bytes that a killed predecessor moved but did not note get an entry with the present time."""
        self._index_size = os.lseek(self._index, 0, os.SEEK_END) // ENTRY.size * ENTRY.size
        noted = self._base
        if self._index_size:
            mark, _ = ENTRY.unpack(os.pread(self._index, ENTRY.size, self._index_size - ENTRY.size))
            noted = mark & OFFSET
            if mark & CUT:
                self._cut = noted
        if self._offset > noted:
            self._note(stamp())

    def _note(self, time_ns: int, flag: int = 0) -> None:
        """An entry that the disk does not take is left out: the next one covers its bytes, with a later time."""
        try:
            written = os.pwrite(self._index, ENTRY.pack(self._offset | flag, time_ns), self._index_size)
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
        time_ns = stamp()
        try:
            room = self._room()
            moved = self._move_console(room) if self._console else self._splice(room)
        except BlockingIOError:
            self.blocked = ""
            self._is_empty()
            return False
        except OSError as error:
            if error.errno == errno.EIO and self._console:
                self._is_empty()
                self._end_line()
                self.close()  # the last process on the terminal is gone
            else:
                self._pause(error)
            return False
        if moved <= 0:
            self._is_empty()
            if self._console:
                self._end_line()
                self.close()
            return False
        self._offset += moved
        self._note(time_ns)
        self.blocked = ""
        self._on_data()
        return True

    def _room(self) -> int:
        """Bytes that this segment may still take; a new one is begun where it may take none."""
        if self._log < 0:
            if not self._has_data():
                raise BlockingIOError
            self._open_files()
        if not self._limits.max_size:
            return CHUNK
        room = self._base + self._limits.max_size - self._offset
        if room <= 0:
            if not self._has_data():
                raise BlockingIOError
            self._rotate()
            room = self._limits.max_size
        return min(CHUNK, room)

    def _rotate(self) -> None:
        """Begins the next segment, index first, and deletes the oldest, index last: whatever moment this is killed at,
        the newest segment has an index, and no data is left to which nobody would come back."""
        torn = self._open_line
        base, before = self._offset, (self._log, self._index)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        index = os.open(index_path(self._directory, self.stream, base), flags | os.O_TRUNC, 0o640)
        try:
            header = ENTRY.pack(base | (TORN if torn else 0), stamp())
            if os.pwrite(index, header, 0) != ENTRY.size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            log = os.open(log_path(self._directory, self.stream, base), flags, 0o640)
        except OSError:
            os.close(index)
            raise
        self._log, self._index, self._base, self._index_size = log, index, base, ENTRY.size
        for fd in before:
            os.close(fd)
        kept = bases(self._directory, self.stream)[-self._limits.max_files :]
        for path, suffix in ((log_path, ".log"), (index_path, ".idx")):
            for old in bases(self._directory, self.stream, suffix):
                if old < kept[0]:
                    with suppress(FileNotFoundError):
                        os.unlink(path(self._directory, self.stream, old))

    @property
    def _open_line(self) -> bool:
        """The last line that was taken has no end yet."""
        if self._log < 0 or self._offset in (self._base, self._cut):
            return False
        return os.pread(self._log, 1, self._offset - self._base - 1) != b"\n"

    def _has_data(self) -> bool:
        if self._pending:
            return True
        count = bytearray(4)
        fcntl.ioctl(self._source, termios.FIONREAD, count)
        return any(count)

    def _splice(self, room: int) -> int:
        return os.splice(self._source, self._log, room, flags=_NONBLOCK)

    def _move_console(self, room: int) -> int:
        data = self._pending or os.read(self._source, room)
        self._pending = data  # stays when the write fails
        written = os.write(self._log, data[:room]) if data else 0
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
            self._end_line()
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
        self._end_line()
        self.close()
        return True

    def _end_line(self) -> None:
        """What the next process says begins a line of its own."""
        if self._source >= 0 and self._open_line:
            self._cut = self._offset
            self._note(stamp(), CUT)
            self._on_data()

    def begin_anew(self) -> None:
        """Somebody has deleted the files: what comes from now on goes into new ones."""
        if self._log >= 0:
            self._rotate()

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
