"""Carries out repairs that ``drift`` has planned, and tells of them. One action, one effect."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from stackup.base.errors import Bug, ContainerFault, StackupError
from stackup.engine.container import Container
from stackup.engine.innards import Innards, mount_points
from stackup.engine.naming import write_etc_files
from stackup.engine.runner import Runner
from stackup.engine.world import World
from stackup.linux.inside import mount_in
from stackup.linux.mountoptions import MountOptions
from stackup.model.observed import Phase
from stackup.model.plan import Action, ContainerAction
from stackup.model.repairs import Reconnect, Relimit, RemakeNetwork, Remount, RenewContainer
from stackup.runtime.relimiting import change_limits

_DONE = {
    RemakeNetwork: "made anew",
    Reconnect: "connected again",
    Remount: "mounted again",
    Relimit: "set again",
    RenewContainer: "started again",
}


class Repairs:
    """``engine.apply.Effects`` for one plan of repairs. ``repaired`` and ``failed`` hold ids of containers."""

    def __init__(self, world: World, runner: Runner, innards: Mapping[str, Innards]) -> None:
        self._world = world
        self._runner = runner
        self._innards = innards
        self.repaired: set[str] = set()
        self.failed: set[str] = set()

    async def perform(self, action: Action) -> None:
        container = self._world.containers.get(getattr(action, "container_id", ""))
        self._tell(action, container, "drift", action.reason)
        try:
            await self._perform(action, container)
        except StackupError as error:
            if container is not None:
                self.failed.add(container.id)
            self._tell(action, container, "repair", f"failed: {error.message}")
            self._world.tell(f"{_name(action)}: {action.reason}; {error.message}")
            raise
        if container is not None:
            self.repaired.add(container.id)
        self._tell(action, container, "repair", action.describe())
        self._world.tell(f"{_name(action)}: {action.reason}; {_DONE[type(action)]}")

    def _tell(self, action: Action, container: Container | None, what: str, text: str) -> None:
        if container is not None:
            self._world.chronicle.of_container(container, what, **{what: text})
        elif isinstance(action, RemakeNetwork):
            self._world.chronicle.thing("network", what, action.name, **{what: text})

    async def _perform(self, action: Action, container: Container | None) -> None:
        if isinstance(action, RemakeNetwork):
            state = await self._world.desk.care.remake(action.key)
            if state is not None:
                records = self._world.records
                records.put_network(action.key, {**records.networks()[action.key], "state": state})
            return
        if container is None:
            return  # it was removed meanwhile
        if isinstance(action, RenewContainer):
            await self._runner.renew(container)
            return
        async with container.lock:
            if container.phase not in (Phase.RUNNING, Phase.PAUSED):
                return
            if isinstance(action, Reconnect):
                await self._world.desk.care.reconnect(container)
            elif isinstance(action, Remount):
                await asyncio.to_thread(self._mount, container, action.paths)
            elif isinstance(action, Relimit):
                wanted = dict(self._innards[container.id].wanted_limits)
                await asyncio.to_thread(change_limits, container.definition.cgroup, wanted)
            else:
                raise Bug(f"cannot {action.describe()}: nobody knows how")

    def _mount(self, container: Container, points: tuple[str, ...]) -> None:
        world, innards = self._world, self._innards[container.id]
        addresses, gateway = world.desk.addresses(container), world.desk.gateway(container)
        write_etc_files(world.container_paths(container.id).run, container.definition, addresses, gateway)
        there = mount_points(container.state.pid)
        for point in points:
            mount = innards.mounts[point]
            options = MountOptions(mount.options)
            try:
                mount_in(container.pidfd, mount.source, point, options, replace=point in there)
            except OSError as error:
                raise ContainerFault(f"cannot mount {mount.source} on {point} again: {error.strerror}") from error


def _name(action: Action) -> str:
    return action.name if isinstance(action, ContainerAction | RemakeNetwork) else action.target
