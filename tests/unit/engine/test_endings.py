"""An end that is told while a supervisor takes over, and one that nobody tells. A launcher of our own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stackup.base.clock import boot_id
from stackup.base.paths import Layout
from stackup.engine import recovery, stopping
from stackup.engine import removing as removing_module
from stackup.engine.endings import Endings
from stackup.engine.records import Definition, Records, State
from stackup.engine.runner import Runner
from stackup.engine.supervision import Supervision
from stackup.engine.world import World
from stackup.model.observed import Phase
from stackup.runtime.client import Exit, Running

IDS = ("a" * 64, "b" * 64)


class Launcher:
    """What it lists is what there was when it was asked."""

    def __init__(self) -> None:
        self.listed: tuple[Running, ...] = ()
        self.signals: list[int] = []

    async def list(self) -> tuple[Running, ...]:
        return self.listed

    async def signal(self, container_id: str, number: int) -> None:
        self.signals.append(number)

    async def drained(self, container_id: str) -> None: ...


class Desk:
    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None
        self.ports = self

    async def recover(self, *_: object) -> dict[str, Any]:
        self.meanwhile()
        await asyncio.sleep(0)
        return {}

    async def detach(self, container: object) -> None: ...

    async def release(self, container: object) -> None: ...

    def serve(self, *_: object) -> None: ...

    async def publish(self, *_: object) -> None: ...


class Stage:
    """Two containers that their records call running."""

    def __init__(self, path: Path) -> None:
        layout = Layout.at(path)
        paths = layout.project("shop")
        self.launcher = Launcher()
        self.desk = Desk()
        desk: Any = self.desk
        launcher: Any = self.launcher
        anything: Any = SimpleNamespace()
        self.world = World("shop", layout, paths, Records(paths.records), launcher, desk, anything, anything)
        self.runner = Runner(self.world)
        for number, container_id in enumerate(IDS):
            name = f"shop-web-{number + 1}"
            definition = Definition(
                container_id, name, "web", number, 0, "", {}, "bb", "", supervision=Supervision(), tty=True
            )
            state = State("running", incarnation=1, pid=77, start_time=100, boot_id=boot_id())
            self.world.records.add_container(definition, state)

    def phases(self) -> list[Phase]:
        return [self.world.containers[container_id].phase for container_id in IDS]


@pytest.fixture(autouse=True)
def no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr(recovery, "_remove_unrecorded", nothing)
    monkeypatch.setattr(recovery, "end_steps", nothing)
    monkeypatch.setattr(recovery, "has_spec", lambda *_: True)
    monkeypatch.setattr(removing_module, "remove_cgroups", lambda *_: None)
    monkeypatch.setattr(stopping, "ENDING_PATIENCE", 0.01)


def play(act: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(act, 10))


def test_an_end_during_recovery_is_newer_than_what_the_launcher_listed(tmp_path: Path) -> None:
    async def act() -> None:
        stage = Stage(tmp_path)
        stage.launcher.listed = tuple(Running(item, 1, 77, 100, -1) for item in IDS)
        endings = Endings(stage.runner.exited)
        stage.desk.meanwhile = lambda: endings(Exit(IDS[1], 3, 0, False, 5))
        await recovery.recover(stage.world, stage.runner, endings)
        assert stage.phases() == [Phase.RUNNING, Phase.EXITED]
        assert stage.world.containers[IDS[1]].state.exit_code == 3
        endings(Exit(IDS[0], 4, 0, False, 5))
        assert stage.phases() == [Phase.EXITED, Phase.EXITED]

    play(act())


def test_ends_before_the_records_are_read_are_not_lost() -> None:
    told: list[str] = []
    endings = Endings(lambda event: told.append(event.id))
    for item in (*IDS, "exec-1"):
        endings(Exit(item, 0, 0, False, 1))
    assert told == []
    endings.expect(IDS)
    assert told == ["exec-1"]
    endings.taken_over(IDS[1])
    assert told == ["exec-1", IDS[1]]
    endings.taken_over(IDS[0])
    endings(Exit("exec-2", 0, 0, False, 1))
    assert told == ["exec-1", IDS[1], IDS[0], "exec-2"]


@pytest.mark.parametrize(("how", "on_disk"), [("stop", True), ("stop", False), ("kill", True), ("remove", True)])
def test_a_process_that_is_gone_holds_up_nobody(tmp_path: Path, how: str, on_disk: bool) -> None:
    """The launcher says nothing of its end: the kernel does, and the file tells how it ended."""

    async def act() -> None:
        stage = Stage(tmp_path)
        gone = subprocess.Popen(["true"])
        stage.launcher.listed = tuple(Running(item, 1, gone.pid, 100, os.pidfd_open(gone.pid)) for item in IDS)
        await recovery.recover(stage.world, stage.runner, Endings(stage.runner.exited))
        gone.wait()
        container = stage.world.containers[IDS[0]]
        if on_disk:
            file = stage.world.container_paths(IDS[0]).exit_file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"incarnation": 1, "status": 7, "signal": 0, "oom": False, "at_ns": 5}))
        ending = {
            "stop": lambda: stage.runner.stop(container),
            "kill": lambda: stage.runner.kill(container, "SIGKILL"),
            "remove": lambda: stage.runner.remove(container),
        }
        await ending[how]()
        assert container.state.exit_code == (7 if on_disk else None)
        assert container.state.exit_unknown is not on_disk
        os.close(stage.world.containers[IDS[1]].pidfd)

    play(act())
