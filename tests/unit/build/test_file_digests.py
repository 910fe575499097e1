"""Large files are read once; whatever changes them is seen."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stackup.build import filedigests
from stackup.build.filedigests import LARGE, FileDigests


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of files that were read. The clock goes an hour ahead, so that new files count as settled."""
    found: list[str] = []
    before = filedigests._read

    def read(path: str, size: int, tick: Callable[[], None] | None) -> bytes:
        found.append(Path(path).name)
        return before(path, size, tick)

    monkeypatch.setattr(filedigests, "_read", read)
    monkeypatch.setattr(time, "time_ns", lambda: int((time.time() + 3600) * 10**9))
    return found


def of(digests: FileDigests, path: Path) -> bytes:
    return digests.of(str(path), os.stat(path))


def test_once_and_again_after_a_change(tmp_path: Path, reads: list[str]) -> None:
    large, small, note = tmp_path / "large", tmp_path / "small", tmp_path / "digests.json"
    large.write_bytes(b"a" * LARGE)
    small.write_bytes(b"b")
    digests = FileDigests(note)
    for _ in range(2):
        assert of(digests, large) == hashlib.sha256(b"a" * LARGE).digest()
        assert of(digests, small) == hashlib.sha256(b"b").digest()
    assert reads == ["large", "small", "small"]
    digests.save()
    again = FileDigests(note)
    assert of(again, large) == hashlib.sha256(b"a" * LARGE).digest()
    assert reads.count("large") == 1
    info = os.stat(large)
    large.write_bytes(b"c" * LARGE)
    os.utime(large, ns=(info.st_atime_ns, info.st_mtime_ns))  # the same size and time of change
    assert of(again, large) == hashlib.sha256(b"c" * LARGE).digest()


def test_what_has_just_been_written_is_read_again(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"a" * LARGE)
    monkeypatch.setattr(time, "time_ns", lambda: os.stat(large).st_ctime_ns)
    digests = FileDigests(tmp_path / "digests.json")
    of(digests, large)
    of(digests, large)
    assert reads == ["large", "large"]


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"1:2": "x"}', '{"1:2": 3}'])
def test_a_damaged_note_is_none(tmp_path: Path, text: str, reads: list[str]) -> None:
    (tmp_path / "digests.json").write_text(text)
    (tmp_path / "large").write_bytes(b"a" * LARGE)
    of(FileDigests(tmp_path / "digests.json"), tmp_path / "large")
    assert reads == ["large"]
