"""The brain of one running project: opens its world, answers requests, and knows when it is no longer needed."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from stackup.base.errors import UsageError
from stackup.base.paths import Layout
from stackup.engine.inquiries import Inquiries
from stackup.engine.loading import Loader
from stackup.engine.network_desk import NetworkDesk
from stackup.engine.operations import Asked, Operations
from stackup.engine.records import Records
from stackup.engine.recovery import recover
from stackup.engine.runner import Runner
from stackup.engine.session import Session
from stackup.engine.world import World
from stackup.images.store import ImageStore
from stackup.model.observed import LIVE
from stackup.runtime.client import Exit, LauncherClient
from stackup.volumes.store import VolumeStore

Handler = Callable[[Asked, Session], Awaitable[int]]
IDLE_SECONDS = 2.0  # how long a supervisor with nothing to watch waits for another request


class Project:
    """Made by ``open``. ``answer`` serves one request; ``finished`` is set when nothing is left to watch."""

    def __init__(self, world: World, runner: Runner) -> None:
        self.world = world
        self._runner = runner
        operations = Operations(world, runner, Loader())
        inquiries = Inquiries(world, runner)
        self._handlers: Mapping[str, Handler] = {
            "up": operations.up,
            "plan": operations.plan,
            "build": operations.build,
            **dict.fromkeys(("down", "stop", "start", "restart", "kill"), operations.change),
            "ps": inquiries.ps,
            "logs": inquiries.logs,
            "exec": inquiries.exec,
            "events": inquiries.events,
        }
        self._active = 0
        self._answered = False

    @classmethod
    async def open(
        cls, project: str, layout: Layout, launcher_socket: socket.socket, on_launcher_lost: Callable[[], None]
    ) -> Project:
        """Connects to the launcher and takes over whatever a predecessor left."""
        paths = layout.project(project)
        runner_box: list[Runner] = []

        def on_exit(event: Exit) -> None:
            if event.id in world.containers:
                runner_box[0].exited(event)
            else:
                world.execs.ended(event)

        launcher = LauncherClient(launcher_socket, on_exit=on_exit, on_lost=on_launcher_lost)
        world = World(
            project=project,
            layout=layout,
            paths=paths,
            records=Records(paths.records),
            launcher=launcher,
            desk=NetworkDesk(project, layout, launcher),
            images=ImageStore(layout),
            volumes=VolumeStore(layout),
        )
        runner_box.append(Runner(world))
        await recover(world, runner_box[0])
        return cls(world, runner_box[0])

    async def answer(
        self, verb: str, args: dict[str, Any], files: dict[str, Any], cwd: str, env: dict[str, str], session: Session
    ) -> int:
        """Answers the exit code; raises StackupError."""
        handler = self._handlers.get(verb)
        if handler is None:
            raise UsageError(f"cannot {verb}: this supervisor does not know that command")
        self._active += 1
        try:
            return await handler(Asked(verb, args, files, cwd, env), session)
        finally:
            self._active -= 1
            self._answered = True
            self.world.any_change.notify()

    @property
    def needed(self) -> bool:
        return self._active > 0 or any(item.phase in LIVE for item in self.world.containers.values())

    @property
    def deserted(self) -> bool:
        """Nothing of the project is left (volumes keep records of their own), and nobody asks for anything."""
        return not (self._active or self.world.containers or self.world.records.networks())

    async def until_unneeded(self) -> None:
        """Returns when no container lives and nobody has asked for anything for a while; at once when all is gone."""
        while True:
            await self.world.any_change.until(lambda: not self.needed)
            patience = 0.0 if self.deserted and self._answered else IDLE_SECONDS
            if not await self.world.any_change.until(lambda: self.needed, timeout=patience):
                return

    async def close(self) -> None:
        """Leaves nothing behind that only a running project needs; records stay where there is something to record."""
        await self.world.launcher.quit()
        deserted = self.deserted
        await self.world.desk.close()
        self.world.records.close()
        if deserted:
            shutil.rmtree(self.world.paths.state, ignore_errors=True)
        shutil.rmtree(self.world.paths.run / "containers", ignore_errors=True)
