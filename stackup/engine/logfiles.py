"""How one stream of a container's output lies on disk: segments, each a file of untouched bytes and an index beside it.

The first segment is ``NAME.log``, a later one ``NAME-OFFSET.log``: the offset of its first byte in the whole stream, in
16 hexadecimal digits. A segment is never renamed, and never written to once the next one exists; the oldest are deleted
whole. So a reader that keeps its offset goes on over a rotation, and a crash at any point leaves nothing to mend.

An index holds 16-byte entries (little endian): the offset at which a piece ends that was moved at once, and its time in
ns. Standard library only: the CLI reads these files itself when nobody must be asked.
"""

from __future__ import annotations

import os
import struct
from collections import deque

ENTRY = struct.Struct("<QQ")
CUT = 1 << 63  # a line ends at this offset though it has no newline: its process has ended
TORN = 1 << 62  # first entry of a segment: what begins here is the rest of a line of the segment before
OFFSET = TORN - 1
ENTRIES = 4096  # read at once


def log_path(directory: str, stream: str, base: int) -> str:
    return f"{directory}/{stream}-{base:016x}.log" if base else f"{directory}/{stream}.log"


def index_path(directory: str, stream: str, base: int) -> str:
    return f"{directory}/{stream}-{base:016x}.idx" if base else f"{directory}/{stream}.idx"


def bases(directory: str, stream: str, suffix: str = ".log") -> list[int]:
    """Offsets at which the segments begin, oldest first."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        if name.startswith(stream) and name.endswith(suffix):
            middle = name[len(stream) : -len(suffix)]
            if not middle:
                found.append(0)
            elif len(middle) == 17 and middle[0] == "-":
                found.append(int(middle[1:], 16))
    return sorted(found)


def is_torn(directory: str, stream: str, base: int) -> bool:
    """True when a segment begins in the middle of a line."""
    entry = _read(index_path(directory, stream, base), 0, ENTRY.size)
    return bool(base) and len(entry) == ENTRY.size and bool(ENTRY.unpack(entry)[0] & TORN)


def _read(path: str, offset: int, size: int) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(fd, size, offset)
    finally:
        os.close(fd)


class IndexReader:
    """The entries of a stream in order, held only as far as they are needed. Goes forward; ``seek`` starts anew."""

    def __init__(self, directory: str, stream: str) -> None:
        self._directory = directory
        self._stream = stream
        self._base = -1
        self._taken = 0  # bytes of this segment's index
        self._entries: deque[tuple[int, int]] = deque()
        self._reached = 0  # offset of the newest entry that was read
        self._last_time = 0
        self.cuts: deque[int] = deque()

    def enter(self, base: int) -> None:
        """The reader has come to the segment ``base``: the rest of the one before is taken first."""
        if base <= self._base:
            return
        while self._base >= 0 and self._more():
            continue
        self._base = base
        self._taken = 0

    def reach(self, offset: int) -> None:
        """Reads on until all is known that was noted up to ``offset``."""
        while self._reached <= offset and self._more():
            continue

    def piece_at(self, offset: int) -> tuple[int, int]:
        """Time and end of the piece that holds the byte at ``offset``; offsets of successive calls never go back. Of a
        piece that has not been noted yet: the time of the one before, and an end that is known to belong to it."""
        entries = self._entries
        while True:
            while entries and entries[0][0] <= offset:
                self._last_time = entries.popleft()[1]
            if entries:
                end, time_ns = entries[0]
                return time_ns, end
            if not self._more():
                return self._last_time, offset + 1

    def _more(self) -> bool:
        data = _read(index_path(self._directory, self._stream, self._base), self._taken, ENTRIES * ENTRY.size)
        whole = len(data) - len(data) % ENTRY.size
        for mark, time_ns in ENTRY.iter_unpack(data[:whole]):
            offset = mark & OFFSET
            if mark & CUT:
                self.cuts.append(offset)
            self._entries.append((offset, time_ns))
            self._reached = offset
        self._taken += whole
        return whole > 0

    def seek(self, base: int, offset: int) -> None:
        """To the entry of the piece that holds the byte at ``offset`` in the segment ``base``."""
        self._base = base
        self._entries.clear()
        self.cuts.clear()
        self._taken = first_beyond(self._directory, self._stream, base, offset) * ENTRY.size
        self._reached = offset


def first_beyond(directory: str, stream: str, base: int, offset: int) -> int:
    """Number of the first entry of a segment's index whose piece ends behind ``offset``."""
    path = index_path(directory, stream, base)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        low, high = 0, os.fstat(fd).st_size // ENTRY.size
        while low < high:
            middle = (low + high) // 2
            mark, _ = ENTRY.unpack(os.pread(fd, ENTRY.size, middle * ENTRY.size))
            if mark & OFFSET <= offset:
                low = middle + 1
            else:
                high = middle
        return low
    finally:
        os.close(fd)


def cuts_between(directory: str, stream: str, base: int, start: int, end: int) -> list[int]:
    """Offsets in (start, end] at which a line ends without a newline."""
    found: list[int] = []
    number = first_beyond(directory, stream, base, start)
    path = index_path(directory, stream, base)
    while data := _read(path, number * ENTRY.size, ENTRIES * ENTRY.size):
        whole = len(data) - len(data) % ENTRY.size
        for mark, _ in ENTRY.iter_unpack(data[:whole]):
            if mark & OFFSET > end:
                return found
            if mark & CUT:
                found.append(mark & OFFSET)
        number += whole // ENTRY.size
        if whole < ENTRIES * ENTRY.size:
            break
    return found


def first_since(directory: str, stream: str, base: int, since_ns: int) -> int | None:
    """Where in a segment the first piece begins that is not older than ``since_ns``; None where there is none. The
    clock may have been set meanwhile, so that the times need not be in order: all are looked at."""
    before, number = base, 0
    path = index_path(directory, stream, base)
    while data := _read(path, number * ENTRY.size, ENTRIES * ENTRY.size):
        whole = len(data) - len(data) % ENTRY.size
        for mark, time_ns in ENTRY.iter_unpack(data[:whole]):
            offset = mark & OFFSET
            if time_ns >= since_ns and offset > before:
                return before
            before = max(before, offset)
        number += whole // ENTRY.size
        if whole < ENTRIES * ENTRY.size:
            break
    return None
