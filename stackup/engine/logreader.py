"""Reads what ``logwriter`` wrote. Standard library only: the CLI uses it when nobody must be asked.

A stream is two files: ``NAME.log`` holds the container's bytes untouched, ``NAME.idx`` one 16-byte entry for every
piece that was moved (offset of its end, time in ns; little endian). A line's time is that of the piece that holds its
first byte.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from stackup.base.values import frozen

ENTRY = struct.Struct("<QQ")
STREAMS = ("stdout", "stderr")
BLOCK = 1 << 20
LINE_LIMIT = 8 << 20  # bytes; a longer line is handed out in pieces of this size


@frozen(order=True)
class LogLine:
    """``text`` without its newline; bytes that are not UTF-8 as surrogate escapes."""

    time_ns: int
    name: str
    stream: str
    text: str


class StreamReader:
    """Reads one stream from where it stood; ``read`` may be called again when more has been written."""

    def __init__(self, directory: Path, name: str, stream: str) -> None:
        self.name = name
        self.stream = stream
        self._log = directory / f"{stream}.log"
        self._index = directory / f"{stream}.idx"
        self._offset = 0  # of the first byte not handed out yet
        self._index_offset = 0
        self._entries: list[tuple[int, int]] = []
        self._last_time = 0

    def read(self, *, final: bool = False) -> Iterator[LogLine]:
        """All whole lines that are new; with ``final`` also a last one that has no newline."""
        self._read_index()
        try:
            file = self._log.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._offset)
            rest = b""
            while block := file.read(BLOCK):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    yield self._line(line, len(line) + 1)
                while len(rest) > LINE_LIMIT:
                    yield self._line(rest[:LINE_LIMIT], LINE_LIMIT)
                    rest = rest[LINE_LIMIT:]
            if final and rest:
                yield self._line(rest, len(rest))

    def skip_to_end(self, lines: int) -> None:
        """Moves forward so that at most the last ``lines`` lines of what is there are left to read."""
        try:
            file = self._log.open("rb")
        except FileNotFoundError:
            return
        with file:
            position = size = file.seek(0, 2)
            if lines <= 0:
                self._offset = size
                return
            wanted = lines
            first = True
            while position > self._offset:
                start = max(self._offset, position - BLOCK)
                file.seek(start)
                block = file.read(position - start)
                end = len(block)
                if first and block.endswith(b"\n"):
                    end -= 1  # the newline that ends the last line is not a line of its own
                first = False
                while (cut := block.rfind(b"\n", 0, end)) >= 0:
                    wanted -= 1
                    if wanted == 0:
                        self._offset = start + cut + 1
                        return
                    end = cut
                position = start

    def _line(self, line: bytes, length: int) -> LogLine:
        time_ns = self._time_of(self._offset)
        self._offset += length
        return LogLine(time_ns, self.name, self.stream, line.removesuffix(b"\r").decode("utf-8", "surrogateescape"))

    def _read_index(self) -> None:
        try:
            with self._index.open("rb") as file:
                file.seek(self._index_offset)
                data = file.read()
        except FileNotFoundError:
            return
        whole = len(data) - len(data) % ENTRY.size
        self._entries.extend(ENTRY.iter_unpack(data[:whole]))
        self._index_offset += whole

    def _time_of(self, offset: int) -> int:
        entries = self._entries
        passed = 0
        while passed < len(entries) and entries[passed][0] <= offset:
            passed += 1
        if passed:
            self._last_time = entries[passed - 1][1]
            del entries[:passed]
        return entries[0][1] if entries else self._last_time


def read_merged(
    sources: Iterable[tuple[str, Path]],
    *,
    tail: int | None = None,
    since_ns: int = 0,
    until_ns: int = 0,
) -> Iterator[LogLine]:
    """Lines of all containers (name, log directory) in the order of their times."""
    readers: list[Iterator[LogLine]] = []
    for name, directory in sources:
        pair = [StreamReader(directory, name, stream) for stream in STREAMS]
        merged: Iterator[LogLine] = heapq.merge(*(reader.read(final=True) for reader in pair), key=_time)
        if tail is not None:
            for reader in pair:
                reader.skip_to_end(tail)
            merged = iter(_last(merged, tail))
        readers.append(merged)
    for line in heapq.merge(*readers, key=_time):
        if since_ns and line.time_ns < since_ns:
            continue
        if until_ns and line.time_ns > until_ns:
            continue
        yield line


def _time(line: LogLine) -> int:
    return line.time_ns


def _last(lines: Iterator[LogLine], count: int) -> list[LogLine]:
    from collections import deque

    return list(deque(lines, maxlen=count))
