"""Reads one stream of what ``logwriter`` wrote: whole lines, in the order in which they were taken from the container.

A line's time is that of the piece that holds its first byte. Lines of one piece are handed out together, as bytes:
whoever shows a million of them does little for each. Standard library only: the CLI reads the files itself.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from stackup.base.values import frozen
from stackup.engine.logfiles import ENTRY, IndexReader, bases, cuts_between, first_since, is_torn, log_path

__all__ = ["ENTRY", "LINE_LIMIT", "STREAMS", "Chunk", "LogLine", "StreamReader"]

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


class Chunk(NamedTuple):
    """Lines of one time: their bytes, with a newline between two of them and none at the end."""

    time_ns: int
    name: str
    stream: str
    data: bytes

    def lines(self) -> list[LogLine]:
        texts = self.data.decode("utf-8", "surrogateescape").split("\n")
        return [LogLine(self.time_ns, self.name, self.stream, text) for text in texts]


class StreamReader:
    """Reads one stream from where it stood; ``read`` and ``chunks`` may be called again when more has been written."""

    def __init__(self, directory: Path, name: str, stream: str) -> None:
        self.name = name
        self.stream = stream
        self.missed = 0  # bytes that rotation took away before they were read
        self._directory = str(directory)
        self._offset = 0  # of the first byte not handed out yet
        self._base = -1  # of the segment that holds it; -1: not looked for yet
        self._ahead: deque[int] = deque()  # segments that the reading has come to, but no whole line yet
        self._left = False
        self._index = IndexReader(self._directory, stream)

    @property
    def offset(self) -> int:
        """Of the first byte that has not been handed out yet."""
        return self._offset

    def unread(self) -> int:
        """Bytes that are there and have not been handed out."""
        for base in reversed(bases(self._directory, self.stream)):
            with suppress(FileNotFoundError):
                return max(0, base + os.path.getsize(log_path(self._directory, self.stream, base)) - self._offset)
        return 0

    def leave(self) -> None:
        """Lets the reading that is under way end with what it has handed out."""
        self._left = True

    def start_at(self, offset: int) -> None:
        """A line that begins at ``offset`` is the next one."""
        self._go_to(offset)

    def read(self, *, final: bool = False) -> Iterator[LogLine]:
        """All whole lines that are new, one at a time; with ``final`` also a last one that has no newline."""
        for chunk in self.chunks(final=final, single=True):
            yield LogLine(chunk.time_ns, chunk.name, chunk.stream, chunk.data.decode("utf-8", "surrogateescape"))

    def chunks(self, *, final: bool = False, single: bool = False) -> Iterator[Chunk]:
        """The same, many at a time unless ``single``. ``offset`` is behind what was handed out, so that the rest may be
        left for another time."""
        file = self._open_first()
        if file is None:
            return
        base, cursor, rest = self._base, self._offset, b""
        self._ahead.clear()
        self._left = False
        while file is not None:
            with file:
                self._index.enter(base)
                file.seek(cursor - base)
                while block := file.read(BLOCK):
                    start, cursor = cursor, cursor + len(block)
                    self._index.reach(cursor)  # after the data: a cut is noted before what follows it is written
                    for piece, cut in self._pieces(block, start):
                        data = rest + piece
                        whole = data.rfind(b"\n") + 1
                        yield from self._whole(data, whole, single)
                        if self._left:
                            return
                        rest = data[whole:]
                        while len(rest) > LINE_LIMIT or (cut and rest):
                            yield self._chunk(rest[:LINE_LIMIT], len(rest[:LINE_LIMIT]))
                            rest = rest[LINE_LIMIT:]
            file = self._open(cursor) if cursor > base else None
            if file is not None:
                base = cursor
                self._ahead.append(base)
                self._move_on(0)
        if not os.path.exists(log_path(self._directory, self.stream, base)):
            oldest = bases(self._directory, self.stream)[:1]
            if oldest and oldest[0] > cursor:  # rotation was quicker than whoever takes the lines
                yield from self.chunks(final=final, single=single)
                return
        if final and rest:
            yield self._chunk(rest, len(rest))

    def _whole(self, data: bytes, end: int, single: bool) -> Iterator[Chunk]:
        """The lines of ``data``, whose first byte is at ``offset``; the last one ends at ``end``."""
        position = 0
        while position < end and not self._left:
            time_ns, piece_end = self._index.piece_at(self._offset)
            last_begin = position if single else min(position + piece_end - self._offset, end) - 1
            stop = data.index(b"\n", last_begin) + 1  # a line goes with the piece in which it begins
            self._move_on(stop - position)
            yield Chunk(time_ns, self.name, self.stream, data[position : stop - 1])
            position = stop

    def _pieces(self, block: bytes, start: int) -> Iterator[tuple[bytes, bool]]:
        """``block`` in parts; True for one at whose end a line ends in any case."""
        cuts = self._index.cuts
        while cuts and cuts[0] <= self._offset:
            cuts.popleft()
        for cut in [cut for cut in cuts if start < cut <= start + len(block)]:
            yield block[: cut - start], True
            block, start = block[cut - start :], cut
        if block:
            yield block, False

    def _open_first(self) -> BinaryIO | None:
        """The segment that holds the next byte; the oldest one where that is gone."""
        if self._base >= 0:
            file = self._open(self._base)
            if file is not None:
                return file
        elif self._offset == 0 and (file := self._open(0)) is not None:
            self._base = 0
            return file
        first = self._first_line()
        if first is None:
            return None
        if self._base >= 0 and first > self._offset:
            self.missed += first - self._offset
        self._go_to(max(first, self._offset))
        return self._open(self._base)

    def _open(self, base: int) -> BinaryIO | None:
        try:
            return open(log_path(self._directory, self.stream, base), "rb", BLOCK)
        except FileNotFoundError:
            return None

    def _first_line(self) -> int | None:
        """Offset of the first line that is whole: the segment in which it began may be gone. None: nothing is there."""
        found = bases(self._directory, self.stream)
        if not found:
            return None
        if not is_torn(self._directory, self.stream, found[0]):
            return found[0]
        return self._line_end(found[0], found[0])

    def _line_end(self, base: int, offset: int) -> int:
        """Where the line ends that ``offset``, in the segment ``base``, is in; the end of everything if it does not."""
        file = self._open(base)
        while file is not None:
            with file:
                file.seek(offset - base)
                while block := file.read(BLOCK):
                    cuts = cuts_between(self._directory, self.stream, base, offset, offset + len(block))
                    newline = block.find(b"\n")
                    ends = [*cuts, *([offset + newline + 1] if newline >= 0 else [])]
                    if ends:
                        return min(ends)
                    offset += len(block)
            file = self._open(offset) if offset > base else None
            base = offset
        return offset

    def _go_to(self, offset: int) -> None:
        found = [base for base in bases(self._directory, self.stream) if base <= offset]
        if not found:
            return
        self._offset, self._base = offset, found[-1]
        self._index.seek(self._base, offset)

    def skip_to_end(self, lines: int, *, unfinished: bool = False) -> None:
        """Moves forward so that at most the last ``lines`` lines of what is there are left to read; ``unfinished``: a
        last one that has not ended yet is left besides."""
        first = self._first_line()
        if first is None:
            return
        wanted, end = lines, -1
        for begin in self._line_starts(max(first, self._offset)):
            if end < 0:  # the first answer is the end of everything, negative where no line ends there
                end = abs(begin)
                wanted += 1 if begin < 0 and unfinished else 0
                if wanted <= 0:
                    self._go_to(end)
                    return
                continue
            wanted -= 1
            if wanted == 0:
                self._go_to(begin)
                return

    def _line_starts(self, first: int) -> Iterator[int]:
        """The end of what is there (negative when a line goes on there), then offsets of lines, last one first."""
        told = False
        for base in reversed(bases(self._directory, self.stream)):
            file = self._open(base)
            if file is None:
                return
            with file:
                position = base + os.fstat(file.fileno()).st_size
                while position > max(base, first):
                    start = max(base, first, position - BLOCK)
                    file.seek(start - base)
                    block = file.read(position - start)
                    starts = self._starts_in(block, start, base)
                    if not told:
                        told = True
                        begin = next(starts, -1)
                        yield position if begin == position else -position
                        if 0 <= begin < position:
                            yield begin
                    yield from starts
                    position = start

    def _starts_in(self, block: bytes, start: int, base: int) -> Iterator[int]:
        cuts = cuts_between(self._directory, self.stream, base, start, start + len(block))
        end = len(block)
        while (newline := block.rfind(b"\n", 0, end)) >= 0:
            begin = start + newline + 1
            while cuts and cuts[-1] > begin:
                yield cuts.pop()
            yield begin
            end = newline
        yield from reversed(cuts)

    def skip_to(self, since_ns: int) -> None:
        """Moves forward to the first piece that is not older; a line that began before it is left out."""
        for base in bases(self._directory, self.stream):
            begin = first_since(self._directory, self.stream, base, since_ns)
            if begin is None:
                continue
            if not self._is_line_start(base, begin):
                begin = self._line_end(base, begin)
            if begin > self._offset:
                self._go_to(begin)
            return
        self.skip_to_end(0, unfinished=True)

    def _is_line_start(self, base: int, offset: int) -> bool:
        if offset == base:
            return not is_torn(self._directory, self.stream, base)
        if cuts_between(self._directory, self.stream, base, offset - 1, offset):
            return True
        file = self._open(base)
        if file is None:
            return True
        with file:
            file.seek(offset - 1 - base)
            return file.read(1) == b"\n"

    def _chunk(self, data: bytes, length: int) -> Chunk:
        time_ns, _ = self._index.piece_at(self._offset)
        self._move_on(length)
        return Chunk(time_ns, self.name, self.stream, data)

    def _move_on(self, length: int) -> None:
        self._offset += length
        while self._ahead and self._ahead[0] <= self._offset:
            self._base = self._ahead.popleft()
