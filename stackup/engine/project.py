"""The brain of one running project: opens its world, answers requests, and knows when it is no longer needed."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from stackup.base.errors import Bug, StackupError, UsageError
from stackup.base.files import try_lock
from stackup.base.names import project_cgroup
from stackup.base.paths import Layout
from stackup.engine.chronicle import Command
from stackup.engine.endings import Endings
from stackup.engine.guard import Guard
from stackup.engine.inquiries import Inquiries
from stackup.engine.loading import Loader
from stackup.engine.network_desk import NetworkDesk
from stackup.engine.operations import Asked, Operations
from stackup.engine.records import Records
from stackup.engine.recovery import recover
from stackup.engine.runner import Runner
from stackup.engine.session import Session
from stackup.engine.waiting import wait_for_ends
from stackup.engine.world import World
from stackup.images.store import ImageStore
from stackup.linux import cgroups
from stackup.linux.cgroups import Hierarchies
from stackup.model.observed import LIVE
from stackup.runtime.cgroups import OWN_GROUP
from stackup.runtime.client import Exit, LauncherClient, LauncherLost
from stackup.volumes.store import VolumeStore

Handler = Callable[[Asked, Session], Awaitable[int]]
RECORDED = ("down", "stop", "start", "restart", "kill", "pause", "unpause", "rm")  # work from records alone
CHANGING = frozenset({"up", "create", "apply", "rollback", "build", "exec", *RECORDED})  # what ``history`` tells of
UNKNOWN_BUG = Bug.exit_code
IDLE_SECONDS = 2.0  # how long a supervisor with nothing to watch waits for another request


class NotOpened(Exception):
    """Why a project cannot be opened, and the launcher that wants to know what is to become of it."""

    def __init__(self, error: Exception, launcher: LauncherClient) -> None:
        super().__init__(str(error))
        self.error = error
        self.launcher = launcher


class Project:
    """Made by ``open``. ``answer`` serves one request; ``finished`` is set when nothing is left to watch."""

    def __init__(self, world: World, runner: Runner) -> None:
        self.world = world
        self._runner = runner
        operations = Operations(world, runner, Loader())
        inquiries = Inquiries(world, runner)
        self._handlers: Mapping[str, Handler] = {
            "up": operations.up,
            "create": operations.up,
            "wait": partial(wait_for_ends, world),
            "plan": operations.plan,
            "apply": operations.apply,
            "rollback": operations.rollback,
            "build": operations.build,
            **dict.fromkeys(RECORDED, operations.change),
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

        def ended(event: Exit) -> None:
            if event.id in world.containers:
                runner_box[0].exited(event)
            else:
                world.execs.ended(event)

        endings = Endings(ended)
        launcher = LauncherClient(launcher_socket, on_exit=endings, on_lost=on_launcher_lost)
        try:
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
            world.guard = Guard(world, runner_box[0])
            world.desk.care.watch_links(world.guard.links_lost)
            world.desk.care.on_put_back = world.guard.put_back
            await recover(world, runner_box[0], endings)
        except Exception as error:
            raise NotOpened(error, launcher) from error
        return cls(world, runner_box[0])

    async def answer(self, asked: Asked, session: Session) -> int:
        """Answers the exit code; raises StackupError."""
        handler = self._handlers.get(asked.verb)
        if handler is None:
            raise UsageError(f"cannot {asked.verb}: this supervisor does not know that command")
        self._active += 1
        self.world.any_change.notify()
        try:
            if asked.verb not in CHANGING:
                return await handler(asked, session)
            return await self._noted(handler, asked, session)
        finally:
            self._active -= 1
            self._answered = True
            self.world.any_change.notify()

    async def _noted(self, handler: Handler, asked: Asked, session: Session) -> int:
        """A command that changes the project, on record from its beginning on."""
        command = Command(self.world.chronicle, asked.verb, asked.who, asked.cwd, dict(asked.env))
        session.taps.append(command.hear)
        code = UNKNOWN_BUG
        try:
            code = await handler(asked, session)
        except StackupError as error:
            code = error.exit_code
            command.hear({"event": "error", "error": error.to_dict()})
            raise
        finally:
            session.taps.remove(command.hear)
            command.ended(code)
        return code

    @property
    def needed(self) -> bool:
        """A request, something that lives, or output and records that a full disk has not taken yet."""
        containers = self.world.containers.values()
        return self._active > 0 or any(item.phase in LIVE or item.writers for item in containers)

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
        """Leaves nothing behind that only a running project needs; records stay where there is something to record.

        The launcher is told last: killed before that, we have a successor, which does this again.
        """
        world = self.world
        deserted = self.deserted
        if world.guard:
            world.guard.close()
        await world.desk.close()
        world.records.settle()
        world.records.close()
        if deserted:
            shutil.rmtree(world.paths.state, ignore_errors=True)
        shutil.rmtree(world.paths.run / "containers", ignore_errors=True)
        try:
            await world.launcher.quit()
        except LauncherLost:  # then it is ours to tidy up after it
            tidy_up_after_launcher(world)

    def hand_over(self) -> None:
        """Another supervisor takes over: what is under way stays as it is recorded."""
        self.world.leaving = True
        self.world.records.settle()


def tidy_up_after_launcher(world: World) -> None:
    """What one that was killed could not remove. The lock keeps another one from starting meanwhile."""
    lock = try_lock(world.paths.launcher_lock)
    if lock is None:
        return
    hierarchies = Hierarchies.of_this_host()
    group = project_cgroup(world.project, world.layout.root)
    cgroups.move_self(hierarchies, "", threads=True)
    cgroups.remove_tree(hierarchies, f"{group}/{OWN_GROUP}")
    cgroups.remove_if_empty(hierarchies, group)
    shutil.rmtree(world.paths.run, ignore_errors=True)
    os.close(lock)
