"""Output: moved whole, noted with its time, read back in order."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from stackup.engine.logmerge import read_merged
from stackup.engine.logreader import ENTRY, StreamReader
from stackup.engine.logwriter import LogWriter


def write(directory: Path, stream: str, pieces: list[tuple[bytes, int]]) -> None:
    directory.mkdir(exist_ok=True)
    offset = 0
    with (directory / f"{stream}.log").open("ab") as log, (directory / f"{stream}.idx").open("ab") as index:
        for data, time_ns in pieces:
            log.write(data)
            offset += len(data)
            index.write(ENTRY.pack(offset, time_ns))


def texts(directory: Path, **options: object) -> list[tuple[int, str]]:
    return [(line.time_ns, line.text) for line in read_merged([("web-1", directory)], **options)]


def test_lines_have_the_time_of_the_piece_with_their_first_byte(tmp_path: Path) -> None:
    write(tmp_path, "stdout", [(b"one\ntw", 10), (b"o\nthree\n", 20)])
    assert texts(tmp_path) == [(10, "one"), (10, "two"), (20, "three")]


def test_streams_are_merged_by_time(tmp_path: Path) -> None:
    write(tmp_path, "stdout", [(b"a\n", 1), (b"c\n", 3)])
    write(tmp_path, "stderr", [(b"b\n", 2), (b"d\n", 4)])
    assert [text for _, text in texts(tmp_path)] == ["a", "b", "c", "d"]


def test_a_last_line_without_newline_is_shown(tmp_path: Path) -> None:
    write(tmp_path, "stdout", [(b"done\nlast words", 5)])
    assert [text for _, text in texts(tmp_path)] == ["done", "last words"]


@pytest.mark.parametrize(("tail", "expected"), [(0, []), (1, ["c"]), (2, ["b", "c"]), (9, ["a", "b", "c"])])
def test_tail(tmp_path: Path, tail: int, expected: list[str]) -> None:
    write(tmp_path, "stdout", [(b"a\nb\nc\n", 1)])
    assert [text for _, text in texts(tmp_path, tail=tail)] == expected


def test_tail_counts_an_unfinished_line(tmp_path: Path) -> None:
    write(tmp_path, "stdout", [(b"a\nb\nc", 1)])
    assert [text for _, text in texts(tmp_path, tail=2)] == ["b", "c"]


def test_bytes_that_are_not_utf8_survive(tmp_path: Path) -> None:
    write(tmp_path, "stdout", [(b"\xff\xfe\n", 1)])
    [(_, text)] = texts(tmp_path)
    assert text.encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_a_very_long_line_is_whole(tmp_path: Path) -> None:
    line = os.urandom(500_000).hex().encode()
    write(tmp_path, "stdout", [(line + b"\nnext\n", 1)])
    assert [len(text) for _, text in texts(tmp_path)] == [len(line), 4]


def test_reading_goes_on_where_it_stood(tmp_path: Path) -> None:
    write(tmp_path, "stdout", [(b"one\ntw", 10)])
    reader = StreamReader(tmp_path, "web-1", "stdout")
    assert [line.text for line in reader.read()] == ["one"]
    with (tmp_path / "stdout.log").open("ab") as log:
        log.write(b"o\n")
    assert [line.text for line in reader.read()] == ["two"]


def test_since_and_until(tmp_path: Path) -> None:
    write(tmp_path, "stdout", [(b"a\n", 10), (b"b\n", 20), (b"c\n", 30)])
    assert [text for _, text in texts(tmp_path, since_ns=20, until_ns=20)] == ["b"]


def run_writer(tmp_path: Path, *chunks: bytes) -> None:
    """Moves ``chunks`` through a FIFO that the test holds open, as the launcher does."""

    async def main() -> None:
        fifo = tmp_path / "fifo"
        if not fifo.exists():
            os.mkfifo(fifo)
            (tmp_path / "logs").mkdir()
        holder = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        writer = LogWriter(fifo, tmp_path / "logs", "stdout", lambda: None)
        for chunk in chunks:
            os.write(holder, chunk)
            writer.drain()
        writer.close()
        os.close(holder)

    asyncio.run(main())


def test_writer_moves_every_byte(tmp_path: Path) -> None:
    run_writer(tmp_path, b"one\n", b"two\n")
    assert (tmp_path / "logs/stdout.log").read_bytes() == b"one\ntwo\n"
    assert [text for _, text in texts(tmp_path / "logs")] == ["one", "two"]


def test_writer_appends_and_notes_what_a_killed_one_did_not(tmp_path: Path) -> None:
    run_writer(tmp_path, b"one\n")
    with (tmp_path / "logs/stdout.log").open("ab") as log:
        log.write(b"moved, not noted\n")
    with (tmp_path / "logs/stdout.idx").open("ab") as index:
        index.write(b"torn")
    run_writer(tmp_path, b"three\n")
    lines = texts(tmp_path / "logs")
    assert [text for _, text in lines] == ["one", "moved, not noted", "three"]
    assert [time for time, _ in lines] == sorted(time for time, _ in lines)
    assert all(time > 0 for time, _ in lines)
