"""A disk that takes nothing: output waits in its pipe, what has happened is owed to the records, errors say so."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackup.base.errors import HostUnfit
from stackup.engine import logwriter
from stackup.engine.apply import apply
from stackup.engine.execs import Execs
from stackup.engine.logmerge import read_merged
from stackup.engine.logwriter import LogWriter
from stackup.engine.records import Definition, Records, State
from stackup.model.plan import CreateVolume, Plan
from stackup.runtime.client import Exit


class Disk:
    """splice(2) to a disk that is full from time to time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        real: Callable[..., int] = os.splice

        def splice(*args: Any, **kwargs: Any) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **kwargs)

        monkeypatch.setattr(os, "splice", splice)
        monkeypatch.setattr(logwriter, "RETRY", 0.01)


def lines(directory: Path) -> list[str]:
    return [line.text for line in read_merged([("web-1", directory)])]


def test_what_an_ended_container_has_said_is_taken_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    os.mkfifo(tmp_path / "fifo")

    async def main() -> None:
        holder = os.open(tmp_path / "fifo", os.O_RDWR | os.O_NONBLOCK)
        writer = LogWriter(tmp_path / "fifo", tmp_path, "stdout", lambda: None)
        os.write(holder, b"one\n")
        writer.drain()
        disk.full = True
        os.write(holder, b"two\n")
        taken = asyncio.Event()
        assert not writer.finish(taken.set)
        assert writer.blocked == "No space left on device"
        disk.full = False
        await asyncio.wait_for(taken.wait(), 2)
        assert writer.blocked == ""
        os.close(holder)

    asyncio.run(main())
    assert lines(tmp_path) == ["one", "two"]


def test_a_container_that_starts_again_goes_on_with_the_same_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    os.mkfifo(tmp_path / "fifo")

    async def main() -> None:
        holder = os.open(tmp_path / "fifo", os.O_RDWR | os.O_NONBLOCK)
        writer = LogWriter(tmp_path / "fifo", tmp_path, "stdout", lambda: None)
        disk.full = True
        os.write(holder, b"first life\n")
        assert not writer.finish(lambda: pytest.fail("it has begun again"))
        writer.go_on()
        os.write(holder, b"second life\n")
        disk.full = False
        while (tmp_path / "stdout.log").stat().st_size < 23:
            await asyncio.sleep(0.005)
        assert writer.finish(lambda: None)
        os.close(holder)

    asyncio.run(main())
    assert lines(tmp_path) == ["first life", "second life"]


def test_an_index_entry_that_finds_no_room_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    real = os.pwrite
    room = iter([True, False, True, True])

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        if next(room):
            return real(fd, data, offset)
        return real(fd, data[:5], offset)

    monkeypatch.setattr(os, "pwrite", pwrite)

    async def main() -> None:
        holder = os.open(tmp_path / "fifo", os.O_RDWR | os.O_NONBLOCK)
        writer = LogWriter(tmp_path / "fifo", tmp_path, "stdout", lambda: None)
        for text in (b"one\n", b"two\n", b"three\n"):
            os.write(holder, text)
            writer.drain()
        writer.close()
        os.close(holder)

    asyncio.run(main())
    assert (tmp_path / "stdout.idx").stat().st_size == 32
    assert lines(tmp_path) == ["one", "two", "three"]


class FullConnection:
    def __init__(self, real: sqlite3.Connection) -> None:
        self.real = real
        self.full = True

    def execute(self, *args: Any) -> sqlite3.Cursor:
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        return self.real.execute(*args)


def test_what_happened_is_owed_to_the_records_what_is_intended_is_refused(tmp_path: Path) -> None:
    records = Records(tmp_path / "records.db")
    for name in ("one", "two"):
        definition = Definition(name, name, name, 1, 0, "", {}, "busybox", "")
        records.add_container(definition, State("created"))
    real = records.connection
    connection: Any = FullConnection(real)
    records.connection = connection
    with pytest.raises(HostUnfit, match="disk is full"):
        records.set_state("one", State("starting"))
    records.note_state("one", State("running"))
    records.note_state("one", State("exited"))
    records.note_removal("two")
    assert not records.settle()
    connection.full = False
    assert records.settle()
    assert records.owed == {}
    assert [item.state.phase for item in records.containers()] == ["exited"]


def test_a_full_disk_is_no_bug(tmp_path: Path) -> None:
    class Effects:
        async def perform(self, action: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    action = CreateVolume(id="1", reason="", key="data", name="shop_data")
    report = asyncio.run(apply(Plan("shop", (action,)), Effects(), lambda event: None))
    assert isinstance(report.errors[0], HostUnfit)
    assert report.errors[0].message.endswith(f"{tmp_path}: No space left on device")


def test_ends_that_nobody_waits_for_are_not_kept() -> None:
    async def main() -> None:
        execs = Execs()
        kept = execs.expect()
        left = execs.expect()
        execs.forget(left)
        for exec_id in (kept, left, "of a supervisor before"):
            execs.ended(Exit(exec_id, 0, 0, False, 0))
        assert (await execs.wait(kept)).status == 0
        assert execs.__dict__ == {"_ends": {}}

    asyncio.run(main())
