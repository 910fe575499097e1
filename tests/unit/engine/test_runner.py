"""What must hold between a start, an exit, a stop and a removal that come at the same time. A launcher of our own, no
process: the order of events is the test's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stackup.base.errors import ContainerFault
from stackup.engine import lastwords
from stackup.engine import removing as removing_module
from stackup.engine import runner as runner_module
from stackup.engine import stopping as stopping_module
from stackup.engine.container import Container
from stackup.engine.logreader import LogLine
from stackup.engine.records import Definition, Records, State
from stackup.engine.runner import Runner
from stackup.engine.supervision import RestartPolicy, Supervision
from stackup.model.observed import Phase
from stackup.runtime.client import Exit, LauncherLost


class Launcher:
    """Starts wait for ``go``; signals end nothing by themselves."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked = asyncio.Event()
        self.signals: list[int] = []
        self.fault: Exception | None = None

    async def start(self, bundle: Path) -> Any:
        self.asked.set()
        await self.go.wait()
        if self.fault:
            raise self.fault
        return SimpleNamespace(console=None, pid=1, start_time=100, pidfd=-1, dns_udp=None, dns_tcp=None)

    async def signal(self, container_id: str, number: int) -> None:
        self.signals.append(number)

    async def drained(self, container_id: str) -> None:
        await asyncio.sleep(0)


class Desk:
    def __init__(self) -> None:
        self.attached = False
        self.ports = self
        self.slow = asyncio.Event()
        self.slow.set()

    async def reserve(self, definition: Definition) -> tuple[()]:
        return ()

    def attach(self, container: Container, incarnation: int) -> tuple[()]:
        self.attached = True
        return ()

    async def detach(self, container: Container) -> None:
        await self.slow.wait()
        self.attached = False

    def serve(self, *_: object) -> None: ...

    async def publish(self, *_: object) -> None: ...

    async def release(self, container: Container) -> None: ...


class Stage:
    def __init__(self, path: Path, **supervision: Any) -> None:
        from stackup.base.paths import Layout
        from stackup.engine.world import World

        layout = Layout.at(path)
        self.launcher, self.desk = Launcher(), Desk()
        paths = layout.project("shop")
        anything: Any = SimpleNamespace()
        launcher: Any = self.launcher
        desk: Any = self.desk
        self.world = World("shop", layout, paths, Records(paths.records), launcher, desk, anything, anything)
        self.runner = Runner(self.world)
        definition = Definition(
            "c" * 64, "shop-web-1", "web", 1, 0, "", {}, "busybox", "", supervision=Supervision(**supervision), tty=True
        )
        state = State("created")
        self.world.records.add_container(definition, state)
        self.container = Container(definition, state, self.world.records, self.world.publish)
        self.world.containers[definition.id] = self.container

    def recorded(self) -> State:
        return self.world.records.containers()[0].state

    def exits(self, status: int = 1) -> None:
        self.runner.exited(Exit(self.container.id, status, 0, False, time.time_ns()))


def play(tmp_path: Path, act: Any, monkeypatch: pytest.MonkeyPatch, **supervision: Any) -> None:
    async def main() -> None:
        await act(Stage(tmp_path, **supervision))

    monkeypatch.setattr(runner_module, "write_incarnation", lambda *_: None)
    monkeypatch.setattr(removing_module, "remove_cgroups", lambda *_: None)
    asyncio.run(asyncio.wait_for(main(), 10))


def task(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(coroutine)


async def given_up(waiting: asyncio.Task[None]) -> None:
    with suppress(asyncio.CancelledError):
        await waiting


ALWAYS = RestartPolicy("always", delay=30.0)


def test_a_start_that_is_cancelled_is_finished_and_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(stage: Stage) -> None:
        starting = task(stage.runner.start(stage.container))
        await stage.launcher.asked.wait()
        starting.cancel()
        await asyncio.sleep(0)
        assert not starting.done()
        stage.launcher.go.set()
        await given_up(starting)
        assert stage.container.phase is Phase.RUNNING
        assert stage.desk.attached

    play(tmp_path, act, monkeypatch)


def test_a_lost_launcher_leaves_the_intent_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(stage: Stage) -> None:
        stage.launcher.fault = LauncherLost("gone")
        stage.launcher.go.set()
        with pytest.raises(LauncherLost):
            await stage.runner.start(stage.container)
        assert stage.recorded().phase == "starting"

    play(tmp_path, act, monkeypatch)


def test_an_exit_before_the_answer_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(stage: Stage) -> None:
        starting = task(stage.runner.start(stage.container))
        await stage.launcher.asked.wait()
        stage.exits(3)
        stage.launcher.go.set()
        await starting
        assert (stage.container.phase, stage.recorded().exit_code) == (Phase.EXITED, 3)

    play(tmp_path, act, monkeypatch)


def test_a_start_waits_until_the_life_before_is_tidied_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(stage: Stage) -> None:
        stage.launcher.go.set()
        await stage.runner.start(stage.container)
        stage.desk.slow.clear()
        stage.exits(0)
        again = task(stage.runner.start(stage.container))
        await asyncio.sleep(0.01)
        assert stage.container.phase is Phase.EXITED
        stage.desk.slow.set()
        await again
        assert stage.container.phase is Phase.RUNNING
        assert stage.desk.attached

    play(tmp_path, act, monkeypatch)


@pytest.mark.parametrize("how", ["stop", "remove"])
def test_a_stop_or_removal_ends_the_wait_for_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async def act(stage: Stage) -> None:
        stage.launcher.go.set()
        await stage.runner.start(stage.container)
        stage.exits(1)
        assert stage.container.phase is Phase.RESTARTING
        aftermath = stage.container.aftermath
        assert aftermath is not None
        await getattr(stage.runner, how)(stage.container)
        await asyncio.wait_for(aftermath, 1)
        if how == "stop":
            assert stage.recorded().phase == "exited"
        else:
            assert stage.world.records.containers() == []

    play(tmp_path, act, monkeypatch, restart=ALWAYS)


def test_a_removal_during_a_start_takes_what_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(stage: Stage) -> None:
        starting = task(stage.runner.start(stage.container))
        await stage.launcher.asked.wait()
        removing = task(stage.runner.remove(stage.container))
        await asyncio.sleep(0)
        stage.launcher.go.set()
        await starting
        while not stage.launcher.signals:
            await asyncio.sleep(0)
        stage.exits(137)
        await removing
        assert stage.world.records.containers() == []

    play(tmp_path, act, monkeypatch)


def test_a_stop_that_is_given_up_leaves_it_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(stage: Stage) -> None:
        stage.launcher.go.set()
        await stage.runner.start(stage.container)
        for leaving, phase in ((False, "running"), (True, "stopping")):
            stage.world.leaving = leaving
            stopping = task(stage.runner.stop(stage.container, -1))
            while stage.container.phase is not Phase.STOPPING:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            stopping.cancel()
            await given_up(stopping)
            assert stage.recorded().phase == phase

    play(tmp_path, act, monkeypatch)


def test_a_clock_that_was_set_back_delays_no_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(stage: Stage) -> None:
        stage.launcher.go.set()
        await stage.runner.start(stage.container)
        stage.runner.exited(Exit(stage.container.id, 1, 0, False, time.time_ns() + 3600 * 10**9))
        while stage.container.phase is not Phase.RUNNING:
            await asyncio.sleep(0.005)

    play(tmp_path, act, monkeypatch, restart=RestartPolicy("always", delay=0.01))


def test_a_restart_that_fails_is_tried_again_and_never_looks_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(stage: Stage) -> None:
        phases: list[str] = []
        publish = stage.container._publish
        stage.container._publish = lambda item, what: (phases.append(item.state.phase), publish(item, what))[1]
        stage.launcher.go.set()
        await stage.runner.start(stage.container)
        stage.launcher.fault = ContainerFault("no")
        stage.exits(1)
        while phases.count("starting") < 4:
            await asyncio.sleep(0.005)
        stage.launcher.fault = None
        while stage.container.phase is not Phase.RUNNING:
            await asyncio.sleep(0.005)
        assert "exited" not in phases

    play(tmp_path, act, monkeypatch, restart=RestartPolicy("always", delay=0.01))


@pytest.mark.parametrize(("jump", "delay"), [(-365, 0.05), (365, 30.0)], ids=["backwards", "forwards"])
def test_a_clock_that_is_set_never_makes_a_restart_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: int, delay: float
) -> None:
    """By a year, in days: backwards, the delay that was decided is waited; forwards, the time has come."""

    async def act(stage: Stage) -> None:
        stage.launcher.go.set()
        await stage.runner.start(stage.container)
        stage.launcher.asked.clear()
        stage.exits(1)
        monkeypatch.setattr(runner_module, "now_ns", lambda: time.time_ns() + jump * 86_400 * 10**9)
        await asyncio.wait_for(stage.launcher.asked.wait(), 5)
        await asyncio.sleep(0)

    play(tmp_path, act, monkeypatch, restart=RestartPolicy("always", delay=delay, max_delay=delay))


def test_a_signal_is_told_when_it_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not before ``pre_stop``."""

    async def act(stage: Stage) -> None:
        stage.launcher.go.set()
        await stage.runner.start(stage.container)
        told: list[str] = []
        monkeypatch.setattr(stage.world.chronicle, "_tell", lambda _, action, **more: told.append(action))

        async def before_stop(*_: object) -> None:
            told.append("pre_stop")

        monkeypatch.setattr(stopping_module, "before_stop", before_stop)
        stopping = task(stage.runner.stop(stage.container, -1))
        while not stage.launcher.signals:
            await asyncio.sleep(0)
        stage.exits(0)
        await stopping
        assert told == ["pre_stop", "kill", "die", "stop"]

    play(tmp_path, act, monkeypatch)


def test_what_was_stopped_is_in_no_crash_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(stage: Stage) -> None:
        stage.launcher.go.set()
        await stage.runner.start(stage.container)
        stage.exits(1)
        while stage.container.phase is not Phase.RESTARTING:
            await asyncio.sleep(0)
        stage.container.crashes("crash loop: it exited with code 1")
        await stage.runner.stop(stage.container)
        assert (stage.recorded().phase, stage.recorded().error) == ("exited", "")

    play(tmp_path, act, monkeypatch, restart=ALWAYS)


def test_last_words_are_those_of_the_last_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(stage: Stage) -> None:
        old, new = (LogLine(at_ns, "web-1", "stdout", text) for at_ns, text in ((1, "old"), (9, "new")))
        monkeypatch.setattr(lastwords, "last_lines", lambda *_, since_ns: [old, new])
        stage.container.began_ns = 5
        assert await lastwords.last_words(stage.world, [stage.container]) == "its last output:\nweb-1 | new"

    play(tmp_path, act, monkeypatch)
