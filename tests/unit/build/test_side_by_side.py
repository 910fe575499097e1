"""Several platforms at a time, and builds that wait for one another."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stackup.base.errors import ImageError
from stackup.base.paths import Layout
from stackup.build.cache import StepCache
from stackup.build.filedigests import FileDigests
from stackup.build.patience import Patience
from stackup.build.progress import Event, Noted
from stackup.build.sidebyside import side_by_side
from stackup.build.state import State
from stackup.build.steps import Step, StepMaker, Stopped
from stackup.images import ImageStore
from tests.support.waiting import eventually

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


def test_waiting_for_another_build_is_told_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackup.build.patience._SECONDS", -1.0)
    layout = Layout.at(tmp_path)
    store = ImageStore(layout)
    say: list[Event] = []
    maker = StepMaker(store, StepCache(layout, store), tmp_path, FileDigests(tmp_path / "digests"), say.append)
    patience = Patience(lambda text: say.append(Noted(text)))

    def run() -> None:
        maker.run(State(), Step("key", "RUN x"), lambda _: None, lambda: None, patience=patience)

    def wait_for(cache: StepCache, *, told: bool) -> None:
        say.clear()
        failures: list[BaseException] = []
        maker.stopped.clear()

        def waits() -> None:
            try:
                run()
            except Stopped as error:
                failures.append(error)

        with cache.alone("key"):
            thread = threading.Thread(target=waits)
            thread.start()
            if told:
                eventually(lambda: say)
            maker.stopped.set()
            thread.join(LONG)
        assert not thread.is_alive() and failures
        assert [event.text for event in say] == (["waiting for another build, which is doing the same: RUN x"] * told)

    wait_for(maker.cache, told=False)
    wait_for(StepCache(layout, store), told=True)
