"""Files of a context that somebody saves during a build: no layer is recorded for content that it does not have."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from build_support import Bench, View, no_registry

from stackup.build import patience
from stackup.build.filedigests import FileDigests
from stackup.build.progress import Event, Noted, StepStarted, Warned
from tests.support.archives import Archive

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files in layers need root")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    no_registry(monkeypatch)
    return Bench(tmp_path)


@pytest.fixture
def after_hashing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has something done after the file of that name was hashed, so many times."""
    before = FileDigests.of

    def arrange(name: str, do: Callable[[], object], times: int = 1) -> None:
        left = [times]

        def of(self: FileDigests, path: str, *more: object) -> bytes:
            found = before(self, path, *more)  # type: ignore[arg-type]
            if Path(path).name == name and left[0]:
                left[0] -= 1
                do()
            return found

        monkeypatch.setattr(FileDigests, "of", of)

    return arrange


def warnings(events: list[Event]) -> list[tuple[str, int]]:
    return [(event.message, event.line) for event in events if isinstance(event, Warned)]


@pytest.mark.parametrize("instruction", ["COPY a /d/", "COPY . /d/", "ADD --link a /d/"])
def test_a_file_saved_between_hashing_and_copying(
    bench: Bench, after_hashing: Callable[..., None], instruction: str
) -> None:
    bench.files(a="old", b="b")
    after_hashing("a", lambda: bench.file("a", "new"))
    text = f"FROM base\n{instruction}\n"
    assert View(bench, bench.build(text)).text("/d/a") == "new"
    assert sum(isinstance(event, StepStarted) for event in bench.events) == 1 and not warnings(bench.events)
    assert [event.message for event in bench.events if isinstance(event, Noted)] == [
        f"{bench.context}/a has changed meanwhile: reading it again"
    ]
    bench.build(text)
    assert bench.cached == 1, "under the key of the new content"
    bench.file("a", "old")
    assert View(bench, bench.build(text)).text("/d/a") == "old"
    assert bench.cached == 0


def test_an_archive_and_a_context_as_base(bench: Bench, after_hashing: Callable[..., None], tmp_path: Path) -> None:
    def archive(content: bytes) -> None:
        (bench.context / "a.tar").write_bytes(Archive().add("a", content).data())

    archive(b"old")
    after_hashing("a.tar", lambda: archive(b"new"))
    assert View(bench, bench.build("FROM base\nADD a.tar /\n")).text("/a") == "new"
    archive(b"old")
    assert View(bench, bench.build("FROM base\nADD a.tar /\n")).text("/a") == "old"
    root = tmp_path / "root"
    root.mkdir()
    (root / "r").write_text("old")
    after_hashing("r", lambda: (root / "r").write_text("new"))
    named = {"mine": str(root)}
    assert View(bench, bench.build("FROM mine\n", additional_contexts=named)).text("/r") == "new"
    (root / "r").write_text("old")
    assert View(bench, bench.build("FROM mine\n", additional_contexts=named)).text("/r") == "old"


def test_a_file_that_never_rests(bench: Bench, after_hashing: Callable[..., None]) -> None:
    """A log, perhaps. The build goes on, with what is there; nothing is recorded."""
    bench.files(log="1")
    after_hashing("log", lambda: bench.file("log", (bench.context / "log").read_text() + "1"), 100)
    text = "FROM base\nCOPY . /d\n"
    assert (View(bench, bench.build(text)).text("/d/log") or "").startswith("11")
    message = f"{bench.context}/log keeps changing while it is read: COPY is not recorded in the cache"
    assert warnings(bench.events) == [(message, 2)]
    after_hashing("log", lambda: None, 0)
    bench.build(text)
    assert bench.cached == 0


def test_a_file_taken_away_between_hashing_and_copying(bench: Bench, after_hashing: Callable[..., None]) -> None:
    bench.files(a="a", b="b")
    after_hashing("b", (bench.context / "a").unlink)
    assert View(bench, bench.build("FROM base\nCOPY . /d\n")).names("/d") == ["b"]


def test_extended_attributes_are_content(bench: Bench) -> None:
    path = bench.file("a")
    text = "FROM base\nCOPY a /a\n"
    bench.build(text)
    try:
        os.setxattr(path, "user.test", b"1")
    except OSError:
        pytest.skip("no such attributes here")
    view = View(bench, bench.build(text))
    assert bench.cached == 0 and os.getxattr(view.place("/a").paths[0], "user.test") == b"1"
    bench.build(text)
    assert bench.cached == 1


def test_a_context_on_a_file_system_without_attributes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As FUSE has them."""

    def none(_path: object, **_: object) -> list[str]:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    bench.file("a")
    with monkeypatch.context() as patched:
        patched.setattr("stackup.build.filecopy.os.listxattr", none)
        assert View(bench, bench.build("FROM base\nCOPY a /a\n")).text("/a") == "x"


def test_a_key_does_not_change_with_names_in_the_code(bench: Bench) -> None:
    from stackup.build.arguments import Mode
    from stackup.build.mounts import MountRequest
    from stackup.build.writer import Override

    assert Override((1, 2), Mode("755"), None, 7).identity == [[1, 2], "755", None, 7]
    assert Override().identity == [None, None, None, None]
    request = MountRequest("cache", "/t", "/s", "stage", "id", True, False, "locked", 0o700, (1, 2), 5, "E")
    assert request.identity == ["cache", "/t", "/s", "stage", "id", True, False, "locked", 0o700, 1, 2, 5, "E"]


def test_what_takes_long_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def notes() -> list[str]:
        return [event.message for event in bench.events if isinstance(event, Noted)]

    bench.files(a="a" * 1234, b="b")
    text = "FROM base AS one\nCOPY . /d\nFROM base\nCOPY --from=one /d /d\n"
    bench.build(text)
    assert notes() == []
    monkeypatch.setattr(patience, "_SECONDS", -1.0)
    bench.build(text)
    assert notes() == ["reading the context: 2 files, 1.2 kB", "reading one: 2 files, 1.2 kB"]
    bench.build("FROM base\nCOPY a b /e/\n")
    assert notes() == ["reading the context: 2 files, 1.2 kB"]


def test_a_file_is_hashed_when_a_later_change_would_show(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bench.file("a")
    slept: list[float] = []
    info = os.stat(path)
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "time_ns", lambda: info.st_ctime_ns + 5 * 10**6)
    FileDigests(bench.context / "note").of(str(path), info)
    monkeypatch.setattr(time, "time_ns", lambda: info.st_ctime_ns + 10**9)
    FileDigests(bench.context / "note").of(str(path), info)
    assert slept == [pytest.approx(0.015)]
