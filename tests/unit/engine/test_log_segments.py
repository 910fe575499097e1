"""Output in segments: read over rotations, cuts and gaps, from the front, the back and the middle."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackup.engine import logreader, logwriter
from stackup.engine.logfiles import bases
from stackup.engine.logmerge import matcher, read_merged
from stackup.engine.logreader import StreamReader
from stackup.engine.logwriter import Limits, LogWriter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The n-th piece is taken at time n."""
    times = itertools.count(1)
    monkeypatch.setattr(logwriter, "stamp", lambda: next(times))


class Pipe:
    """A FIFO as the launcher holds it open, and writers that come and go."""

    def __init__(self, directory: Path, limits: Limits) -> None:
        self.directory, self.limits = directory, limits
        os.mkfifo(directory / "fifo")
        self.holder = os.open(directory / "fifo", os.O_RDWR | os.O_NONBLOCK)
        self.writer = self.new()

    def new(self) -> LogWriter:
        return LogWriter(self.directory / "fifo", self.directory, "stdout", lambda: None, limits=self.limits)

    def say(self, data: bytes) -> None:
        for start in range(0, len(data), 60_000):
            os.write(self.holder, data[start : start + 60_000])
            self.writer.drain()

    def end_process(self) -> None:
        assert self.writer.finish(lambda: None)
        self.writer = self.new()


def with_pipe(directory: Path, limits: Limits, *pieces: bytes | None) -> None:
    """None: the process ends, and another begins."""

    async def main() -> None:
        pipe = Pipe(directory, limits)
        for piece in pieces:
            pipe.end_process() if piece is None else pipe.say(piece)
        pipe.writer.close()
        os.close(pipe.holder)

    asyncio.run(main())


def texts(directory: Path, **options: object) -> list[str]:
    return [line.text for line in read_merged([("web-1", directory)], **options)]  # type: ignore[arg-type]


def numbered(start: int, end: int) -> bytes:
    return b"".join(b"line %05d\n" % number for number in range(start, end))


def lines(start: int, end: int) -> list[str]:
    return [f"line {number:05d}" for number in range(start, end)]


def test_segments_have_the_size_and_the_number_that_was_asked_for(tmp_path: Path) -> None:
    with_pipe(tmp_path, Limits(1000, 3), *(numbered(n, n + 10) for n in range(0, 1000, 10)))
    sizes = [path.stat().st_size for path in tmp_path.glob("stdout*.log")]
    assert len(sizes) == 3 and max(sizes) == 1000
    assert len(list(tmp_path.glob("stdout*.idx"))) == 3


def test_what_rotation_left_is_whole_lines_up_to_the_last_one(tmp_path: Path) -> None:
    with_pipe(tmp_path, Limits(995, 3), *(numbered(n, n + 10) for n in range(0, 1000, 10)))
    found = texts(tmp_path)
    assert found == lines(1000 - len(found), 1000)
    assert len(found) in range(180, 272)
    assert texts(tmp_path, tail=250) == found[-250:]


def test_a_follower_reads_over_rotations(tmp_path: Path) -> None:
    async def main() -> None:
        pipe = Pipe(tmp_path, Limits(500, 2))
        reader = StreamReader(tmp_path, "web-1", "stdout")
        seen: list[str] = []
        for n in range(0, 1000, 7):
            pipe.say(numbered(n, min(n + 7, 1000)))
            seen += [line.text for line in reader.read()]
        assert seen == lines(0, 1000)
        assert reader.missed == 0
        pipe.writer.close()
        os.close(pipe.holder)

    asyncio.run(main())


def test_a_follower_that_is_too_slow_is_told_how_much_it_missed(tmp_path: Path) -> None:
    async def main() -> None:
        pipe = Pipe(tmp_path, Limits(500, 2))
        reader = StreamReader(tmp_path, "web-1", "stdout")
        pipe.say(numbered(0, 10))
        first = [line.text for line in reader.read()]
        pipe.say(numbered(10, 500))
        rest = [line.text for line in reader.read()]
        assert first == lines(0, 10)
        assert rest == lines(500 - len(rest), 500)
        assert reader.missed == (500 - len(rest) - 10) * len(b"line 00000\n")
        pipe.writer.close()
        os.close(pipe.holder)

    asyncio.run(main())


def test_a_successor_goes_on_with_the_newest_segment(tmp_path: Path) -> None:
    with_pipe(tmp_path, Limits(300, 3), numbered(0, 50))
    os.unlink(tmp_path / "fifo")
    newest = tmp_path / f"stdout-{bases(str(tmp_path), 'stdout')[-1]:016x}.idx"
    newest.write_bytes(newest.read_bytes()[:-5])  # killed while it noted
    with_pipe(tmp_path, Limits(300, 3), numbered(50, 60))
    found = texts(tmp_path)
    assert found == lines(60 - len(found), 60) and len(found) > 50


def test_files_that_somebody_deletes_are_begun_anew(tmp_path: Path) -> None:
    async def main() -> None:
        pipe = Pipe(tmp_path, Limits())
        reader = StreamReader(tmp_path, "web", "stdout")
        pipe.say(b"one\n")
        assert [line.text for line in reader.read()] == ["one"]
        for path in tmp_path.glob("stdout*"):
            path.unlink()
        pipe.writer.begin_anew()
        pipe.say(b"two\n")
        pipe.end_process()
        pipe.say(b"three\n")
        pipe.writer.close()
        os.close(pipe.holder)
        assert [line.text for line in reader.read()] == ["two", "three"]

    asyncio.run(main())
    assert texts(tmp_path) == ["two", "three"]


def test_an_index_whose_segment_was_never_made_is_used_when_it_is(tmp_path: Path) -> None:
    with_pipe(tmp_path, Limits(220, 5), numbered(0, 20))
    os.unlink(tmp_path / "fifo")
    (tmp_path / f"stdout-{220:016x}.idx").write_bytes(b"killed before the segment was made, and longer than one")
    with_pipe(tmp_path, Limits(220, 5), numbered(20, 30))
    assert texts(tmp_path) == lines(0, 30)


def test_lines_larger_than_segments(tmp_path: Path) -> None:
    big = b"x" * 2500
    with_pipe(tmp_path, Limits(1000, 10), b"first\n", big + b"\n", b"last\n")
    assert texts(tmp_path) == ["first", big.decode(), "last"]
    assert texts(tmp_path, tail=2) == [big.decode(), "last"]


def test_the_rest_of_a_line_whose_beginning_is_gone_is_not_shown(tmp_path: Path) -> None:
    with_pipe(tmp_path, Limits(1000, 2), b"x" * 2500 + b"\n", b"last\n")
    assert texts(tmp_path) == ["last"]


def test_the_next_process_begins_a_line_of_its_own(tmp_path: Path) -> None:
    with_pipe(tmp_path, Limits(), b"one\nunfinished", None, b"two\n", None, None, b"three", None, b"four")
    assert texts(tmp_path) == ["one", "unfinished", "two", "three", "four"]
    for count in range(6):
        assert texts(tmp_path, tail=count) == ["one", "unfinished", "two", "three", "four"][5 - min(count, 5) :]
    reader = StreamReader(tmp_path, "web-1", "stdout")
    assert [line.text for line in reader.read()] == ["one", "unfinished", "two", "three"]
    assert [line.text for line in reader.read(final=True)] == ["four"]


def test_a_carriage_return_is_data(tmp_path: Path) -> None:
    with_pipe(tmp_path, Limits(), b"50%\r100%\r\n")
    assert texts(tmp_path) == ["50%\r100%\r"]


def test_since_starts_at_a_line_that_begins_then(tmp_path: Path, clock: None) -> None:
    async def main() -> None:
        pipe = Pipe(tmp_path, Limits(30, 100))
        for _ in range(20):
            pipe.say(b"begin ")
            pipe.say(b"end\nwhole\n")
        pipe.writer.close()
        os.close(pipe.holder)

    asyncio.run(main())
    everything = list(read_merged([("web-1", tmp_path)]))
    assert len(everything) == 40
    for since in range(1, everything[-1].time_ns + 3):
        wanted = [line for line in everything if line.time_ns >= since]
        assert list(read_merged([("web-1", tmp_path)], since_ns=since)) == wanted
        early = [line for line in everything if line.time_ns <= since]
        assert list(read_merged([("web-1", tmp_path)], until_ns=since, tail=3)) == early[-3:]


def test_grep_filters_and_tail_counts_what_is_left(tmp_path: Path) -> None:
    with_pipe(tmp_path, Limits(), numbered(0, 100))
    keep = matcher("[05]$")
    assert texts(tmp_path, keep=keep) == [f"line {n:05d}" for n in range(0, 100, 5)]
    assert texts(tmp_path, keep=keep, tail=2) == ["line 00090", "line 00095"]


def test_a_clock_that_is_corrected_a_little_does_not_reorder_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10**12, 10**12 - 500, 10**12 - 400, 5 * 10**11])
    monkeypatch.setattr(logwriter, "_last_ns", 0)
    monkeypatch.setattr(logwriter, "now_ns", lambda: next(times))
    assert [logwriter.stamp() for _ in range(4)] == [10**12, 10**12 + 1, 10**12 + 2, 5 * 10**11]


def pieces(rng: random.Random) -> Iterator[bytes | None]:
    for _ in range(rng.randrange(5, 60)):
        if rng.random() < 0.1:
            yield None
        else:
            yield bytes(rng.choices(b"\n\nab\xff\x00\r", k=rng.randrange(1, 400)))


def expected_lines(said: list[bytes | None]) -> list[bytes]:
    found, rest = [], b""
    for piece in said:
        if piece is None:
            found += [rest] if rest else []
            rest = b""
            continue
        *whole, rest = (rest + piece).split(b"\n")
        found += whole
    return [*found, rest] if rest else found


@pytest.mark.parametrize("seed", range(25))
def test_every_byte_and_every_line_comes_back(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(logreader, "BLOCK", rng.choice([7, 64, 1 << 20]))
    said = list(pieces(rng))
    with_pipe(tmp_path, Limits(rng.choice([0, 50, 333]), 10_000), *said)
    wanted = expected_lines(said)
    read = [text.encode("utf-8", "surrogateescape") for text in texts(tmp_path)]
    assert read == wanted
    for count in (0, 1, 2, 7, len(wanted), len(wanted) + 1):
        tail = [text.encode("utf-8", "surrogateescape") for text in texts(tmp_path, tail=count)]
        assert tail == wanted[len(wanted) - min(count, len(wanted)) :]
