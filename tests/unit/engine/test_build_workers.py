"""Worker processes end: by themselves, when they are asked, or when their time is over."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackup.base.errors import ImageError
from stackup.engine import images_desk
from stackup.images import transfers
from tests.support.waiting import eventually

SAYS = """print('{"event": "progress", "kind": "note", "text": "%d"}' % os.getpid(), flush=True)"""
DEAF = f"import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SAYS}; "
HEARING = f"import os, time; {SAYS}; "
DONE = """print('{"event": "done"}', flush=True); """


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def run(
    monkeypatch: pytest.MonkeyPatch, code: str, *, cancelled: bool, ripe: Callable[[int], bool] = lambda _pid: True
) -> tuple[int, list[str], BaseException | None]:
    """The worker's pid, what was done after a kill, and the error. It is cancelled once it has said something, and is
    ``ripe`` for that."""
    monkeypatch.setattr(transfers, "command", lambda _module: [sys.executable, "-c", code])
    killed: list[str] = []
    pids: list[int] = []

    async def scenario() -> None:
        heard = asyncio.Event()

        def emit(event: dict[str, Any]) -> None:
            pids.append(int(event["text"]))
            heard.set()

        after: Callable[[], object] = lambda: killed.append("swept")  # noqa: E731
        task = asyncio.create_task(images_desk.run_worker("m", "try", "", {}, emit, {}, after))
        await heard.wait()
        if cancelled:
            await asyncio.to_thread(eventually, lambda: ripe(pids[0]))
            task.cancel()
        await task

    error: BaseException | None = None
    try:
        asyncio.run(scenario())
    except (ImageError, asyncio.CancelledError) as raised:
        error = raised
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    return pids[0], killed, error


def test_one_that_does_not_hear_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_desk, "GRACE", 0.2)
    _, killed, error = run(monkeypatch, f"{DEAF}time.sleep(1000)", cancelled=True)
    assert killed == ["swept"] and isinstance(error, asyncio.CancelledError)


def test_one_that_stands_still_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_desk, "GRACE", 0.2)
    code = f"{HEARING}os.kill(os.getpid(), {int(signal.SIGSTOP)})"
    assert run(monkeypatch, code, cancelled=True, ripe=stopped)[1] == ["swept"]


def test_one_that_hears_cleans_up_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, f"{HEARING}time.sleep(1000)", cancelled=True)[1] == []


def test_one_that_is_done_and_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_desk, "GRACE", 0.2)
    _, killed, error = run(monkeypatch, f"{DEAF}{DONE}time.sleep(1000)", cancelled=False)
    assert (killed, error) == (["swept"], None)


def test_one_that_says_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_desk, "GRACE", 0.2)
    _, killed, error = run(monkeypatch, f"{DEAF}os.close(1); time.sleep(1000)", cancelled=False)
    assert killed == ["swept"] and "says nothing more" in str(error)
    _, killed, error = run(monkeypatch, f"{HEARING}os._exit(3)", cancelled=False)
    assert killed == [] and "ended with code 3" in str(error)
