"""Several platforms at a time, and builds that wait for one another."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stackup.base.errors import ImageError
from stackup.base.paths import Layout
from stackup.build.cache import StepCache
from stackup.build.patience import Patience
from stackup.build.sidebyside import side_by_side
from stackup.build.steps import Stopped
from stackup.images import ImageStore

LONG = 10.0


def test_they_go_on_together_in_their_order() -> None:
    meeting = threading.Barrier(2)

    def task(number: int) -> int:
        meeting.wait(LONG)
        return number

    assert side_by_side([lambda: task(1), lambda: task(2)], lambda: None, 2) == [1, 2]


def test_not_more_than_so_many() -> None:
    free = threading.Semaphore(2)

    def task() -> bool:
        alone = free.acquire(blocking=False)
        free.release()
        return alone

    assert all(side_by_side([task] * 8, lambda: None, 2))


def test_the_first_failure_ends_the_others() -> None:
    stopped = threading.Event()

    def waits() -> None:
        assert stopped.wait(LONG)
        raise Stopped

    def fails() -> None:
        raise ImageError("its own reason")

    with pytest.raises(ImageError, match="its own reason"):
        side_by_side([waits, fails, waits], stopped.set, 3)


def test_waiting_for_another_build_is_told_and_ends(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    cache = StepCache(layout, ImageStore(layout))
    said: list[str] = []

    def wait() -> None:
        patience.tell("waiting", lambda: "waits")
        if said:
            raise Stopped

    patience = Patience(said.append)
    patience._begun -= 2
    with cache.alone("key"):
        with pytest.raises(Stopped), cache.alone("key", wait):
            raise AssertionError("two have it")
        with cache.alone("other", wait):
            pass
    with cache.alone("key", wait):
        pass
    assert said == ["waits"]
