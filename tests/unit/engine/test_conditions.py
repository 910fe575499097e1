"""What ``up --wait`` and ``depends_on`` wait for, with containers whose life is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackup.engine import conditions
from stackup.engine.conditions import condition_state, wait_until
from stackup.engine.container import Container
from stackup.engine.records import Definition, Records, State
from stackup.engine.signals import Changes
from stackup.engine.supervision import HealthCheck, RestartPolicy, Supervision
from stackup.model.observed import Phase

CHECK = HealthCheck(("true",), 30.0, 30.0, 3, 0.0, 5.0)


class Life:
    """A container whose state changes at the test's will."""

    def __init__(self, path: Path, health: HealthCheck | None = None) -> None:
        self.changes = Changes()
        definition = Definition(
            "c" * 64, "shop-web-1", "web", 1, 0, "", {}, "busybox", "", supervision=Supervision(health=health)
        )
        records = Records(path / "records.db")
        records.add_container(definition, State("created"))
        self.container = Container(definition, State("created"), records, lambda container, what: self.changes.notify())

    def is_now(self, phase: Phase, **more: Any) -> None:
        self.container._set("test", phase=phase.value, **more)

    def waits(self, timeout: float | None = None) -> Coroutine[Any, Any, str]:
        return wait_until(lambda: [self.container], "running_or_healthy", self.changes, timeout=timeout)


def outcome(life: Life, *changes: Callable[[], None], timeout: float | None = None) -> str:
    """What a wait ends in while the container goes through ``changes``."""

    async def run() -> str:
        waiting = asyncio.create_task(life.waits(timeout))
        for change in changes:
            for _ in range(5):
                await asyncio.sleep(0)
            assert not waiting.done(), "it has decided too early"
            change()
        return await asyncio.wait_for(waiting, 10)

    return asyncio.run(run())


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


def test_a_container_that_goes_on_running(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "RUNS_FOR", 0.01)
    assert outcome(life, lambda: life.is_now(Phase.RUNNING)) == ""


@pytest.mark.parametrize("code", [0, 1])
def test_a_container_that_flaps(life: Life, code: int) -> None:
    ending = lambda: life.is_now(Phase.RESTARTING, exit_code=code)  # noqa: E731
    text = outcome(life, lambda: life.is_now(Phase.RUNNING), ending)
    assert text == f"container shop-web-1 exited with code {code} and is being restarted"


def test_a_container_that_ends(life: Life) -> None:
    fails = lambda: life.is_now(Phase.EXITED, exit_code=7)  # noqa: E731
    assert outcome(life, lambda: life.is_now(Phase.RUNNING), fails) == "container shop-web-1 exited with code 7"


def test_a_job_that_is_done(life: Life) -> None:
    done = lambda: life.is_now(Phase.EXITED, exit_code=0)  # noqa: E731
    assert outcome(life, lambda: life.is_now(Phase.RUNNING), done) == ""


def test_a_healthy_container_has_proved_itself(tmp_path: Path) -> None:
    life = Life(tmp_path, CHECK)
    healthy = lambda: life.is_now(Phase.RUNNING, health="healthy")  # noqa: E731
    assert outcome(life, lambda: life.is_now(Phase.RUNNING, health="starting"), healthy) == ""


def test_not_in_time(life: Life) -> None:
    assert outcome(life, timeout=0.01) == "not within 0.01 seconds"


def test_other_exit_codes_can_mean_success(tmp_path: Path) -> None:
    life = Life(tmp_path)
    supervision = Supervision(restart=RestartPolicy(success_codes=(0, 7)))
    life.container.definition = replace(life.container.definition, supervision=supervision)
    for code, met in ((7, True), (0, True), (1, False), (None, False)):
        life.is_now(Phase.EXITED, exit_code=code, exit_unknown=code is None)
        assert condition_state([life.container], "service_completed_successfully")[0] is met
        assert condition_state([life.container], "running_or_healthy")[0] is met
