"""Looks whether a suspicion is right: what running containers and networks have, against what they should have."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence

from stackup.base.errors import StackupError
from stackup.engine.container import Container
from stackup.engine.damage import damage
from stackup.engine.drift import Drift, Kind
from stackup.engine.innards import Innards, mount_points
from stackup.engine.logreader import STREAMS
from stackup.engine.suspicion import DELETED, FILE, LIMIT, LIMITS, LINKS, MOUNTS, Suspicion
from stackup.engine.world import World
from stackup.linux.cgroups import read_file
from stackup.runtime.relimiting import change_limits


class Looker:
    """``innards`` by container id: what each of them should have."""

    def __init__(self, world: World, innards: Mapping[str, Innards]) -> None:
        self._world = world
        self._innards = innards

    async def look(self, suspicions: Iterable[Suspicion], running: Sequence[Container]) -> list[Drift]:
        """Only of ``running``; others are somebody's business already."""
        found: list[Drift] = []
        by_id = {container.id: container for container in running}
        for suspicion in sorted(set(suspicions)):
            what, container_id, file = suspicion
            container, innards = by_id.get(container_id), self._innards.get(container_id)
            if what == LINKS:
                found += await self._links(running)
            elif container is None or innards is None:
                continue
            elif what == MOUNTS:
                found += self._mounts(container, innards)
            elif what == LIMIT and not container.state.updating:
                found += _limit(container, innards, file)
            elif what == LIMITS and not container.state.updating:
                found += await asyncio.to_thread(_limits, container, innards)
            elif what == FILE:
                found += self._file(container, innards, file)
            elif what == DELETED:
                found += self._deleted(container)
        return found

    async def _links(self, running: Sequence[Container]) -> list[Drift]:
        again = (LINKS, "", "")
        return [
            Drift(
                Kind.LINK if fault.container_id else Kind.BRIDGE,
                f"link {fault.link} {fault.text}" if fault.container_id else f"{fault.link} {fault.text}",
                fault.container_id,
                fault.network,
                suspicion=again,
            )
            for fault in await self._world.desk.care.look(running)
        ]

    def _mounts(self, container: Container, innards: Innards) -> list[Drift]:
        if innards.free:
            return []
        try:
            there = mount_points(container.state.pid)
        except OSError:
            return []
        found = []
        for point, mount in innards.mounts.items():
            if point not in there:
                kind = Kind.MOUNT if mount.source else Kind.LOST_MOUNT
                text = f"{mount.target} was unmounted"
                found.append(Drift(kind, text, container.id, part=point, suspicion=(MOUNTS, container.id, "")))
        return found

    def _file(self, container: Container, innards: Innards, name: str) -> list[Drift]:
        """One of ours that is mounted in the container, such as its /etc/hosts."""
        path = f"{self._world.container_paths(container.id).run}/{name}"
        if os.path.lexists(path):
            return []
        if name in STREAMS:
            return [Drift(Kind.PIPE, f"its pipe {path} was deleted", container.id, part=name)]
        text = f"its file {name} was removed"
        return [
            Drift(Kind.MOUNT, text, container.id, part=point, suspicion=(FILE, container.id, name))
            for point, mount in innards.mounts.items()
            if mount.source == path
        ]

    def _deleted(self, container: Container) -> list[Drift]:
        world = self._world
        text = damage(world.layout, world.container_paths(container.id), container.definition)
        return [Drift(Kind.DELETED, text, container.id)] if text else []


def _limit(container: Container, innards: Innards, path: str) -> list[Drift]:
    before, now = innards.limits.get(path, ""), read_file(path)
    if not now or before == now:
        return []
    return [_changed(container, path, before, now)]


def _limits(container: Container, innards: Innards) -> list[Drift]:
    """Of one that was taken over: nobody knows how the kernel showed its limits before, but setting them tells."""
    try:
        change_limits(container.definition.cgroup, dict(innards.wanted_limits))
    except StackupError:
        return []  # the repair, if there is one, says why
    right = {path: read_file(path) for path in innards.limits}
    return [_changed(container, path, right[path], now) for path, now in innards.limits.items() if right[path] != now]


def _changed(container: Container, path: str, before: str, now: str) -> Drift:
    text = f"{os.path.basename(path)} was changed from {before} to {now}"
    return Drift(Kind.LIMIT, text, container.id, part=path, suspicion=(LIMIT, container.id, path))
