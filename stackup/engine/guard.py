"""Notices what somebody changes behind stackup's back, and has it put right: look, decide (``drift``), act.

It sleeps until the kernel tells of something (``watchers``, ``network.linkwatch``), and then looks at what may be
affected. Everything in here is suspicion until a look has confirmed it: stackup's own doings cause the same events.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

from stackup.base import log
from stackup.engine.chronicle import Command
from stackup.engine.container import Container
from stackup.engine.damage import REMEDY
from stackup.engine.suspicion import DELETED, FILE, LIMIT, LIMITS, LINKS, MOUNTS, Suspicion
from stackup.engine.tasks import spawn
from stackup.engine.world import World
from stackup.linux.inotify import DELETE, MODIFY, MOVED_FROM
from stackup.model.observed import Phase

if TYPE_CHECKING:
    from stackup.engine.drift import Drift, Patience
    from stackup.engine.innards import Innards
    from stackup.engine.runner import Runner
    from stackup.engine.watchers import FileWatch, MountWatch

PEACE = 1.0  # seconds of a container's life before it is looked after: others may be waiting for the processor now
_SETTLED = (Phase.RUNNING, Phase.PAUSED)
# Owners of watches that are no container's:
_STATES, _VOLUMES, _VOLUME, _RECORDS, _PROJECTS = "containers", "volumes", "volume ", "records", "projects"
_SHARED = (_STATES, _VOLUMES, _RECORDS, _PROJECTS)
SETTLE = 0.1  # seconds from the first suspicion to the look: events come in swarms


class Guard:
    """One a project. ``watch`` and ``unwatch`` follow the containers' lives."""

    def __init__(self, world: World, runner: Runner) -> None:
        self._world = world
        self._runner = runner
        self._coming: dict[str, bool] = {}  # container id -> whether it was taken over from a predecessor
        self._timer: asyncio.TimerHandle | None = None
        self._innards: dict[str, Innards] = {}
        self._mounts: MountWatch | None = None
        self._files: FileWatch | None = None
        self._suspicions: set[Suspicion] = set()
        self._working: asyncio.Task[None] | None = None
        self._patience: Patience | None = None
        self._failed: set[str] = set()
        self._told: set[tuple[str, str]] = set()

    def watch(self, container: Container, *, adopted: bool = False) -> None:
        """It runs from now on; ``adopted``: it did before, and nobody was looking."""
        if adopted and not self._coming:
            self._suspect(LINKS)
        self._coming[container.id] = adopted
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PEACE, self._settle_in)

    def unwatch(self, container: Container) -> None:
        self._coming.pop(container.id, None)
        if self._innards.pop(container.id, None) is not None:
            if self._mounts:
                self._mounts.drop(container.id)
            if self._files:
                self._files.drop(container.id)

    def refresh(self, container: Container) -> None:
        """It was changed in place, by us."""
        self._refresh([container.id])

    def removed(self, container: Container) -> None:
        self._failed.discard(container.id)
        self._told = {item for item in self._told if item[0] != container.id}
        if self._patience is not None:
            self._patience.forget(container.id)

    def close(self) -> None:
        for watcher in (self._mounts, self._files, self._timer):
            if isinstance(watcher, asyncio.TimerHandle):
                watcher.cancel()
            elif watcher is not None:
                watcher.close()

    def links_lost(self, names: set[str]) -> None:
        """Some link or address is gone, somewhere on this machine; "" stands for what has no name."""
        if "" in names or not names.isdisjoint(self._world.desk.care.link_names(self._running())):
            self._suspect(LINKS)

    def put_back(self, text: str) -> None:
        """The firewall's rules are restored by those who write them; here it is told. ``text``: what was missing."""
        world = self._world
        command = Command(world.chronicle, "repair", f"repair` (process {os.getpid()})", "", {}, user="stackup")
        reason = "somebody removed it from the firewall"
        command.hear({"event": "did", "text": f"put back {text}", "reason": reason})
        command.ended(0)
        world.chronicle.thing("network", "drift", world.project, drift=f"{text} was removed from the firewall")
        world.chronicle.thing("network", "repair", world.project, repair=f"put back {text}")
        world.tell(f"{text} was removed from the firewall by somebody else; put back")

    def _running(self) -> list[Container]:
        """What can be put right, and not what is being started or stopped."""
        return [item for item in self._world.containers.values() if _is_settled(item)]

    # watching

    def _settle_in(self) -> None:
        self._timer = None
        spawn(self._begin())

    async def _begin(self) -> None:
        coming, self._coming = self._coming, {}
        for container_id, adopted in coming.items():
            container = self._world.containers.get(container_id)
            if container is not None and _is_settled(container):
                try:
                    self._begin_with(container, adopted=adopted)
                except (OSError, ValueError) as error:
                    if _is_settled(container):
                        log.note(f"{container.name} cannot be watched for changes: {error!r}")
                await asyncio.sleep(0)  # others have their turn

    def _begin_with(self, container: Container, *, adopted: bool) -> None:
        from stackup.engine.innards import innards_of, mount_points
        from stackup.engine.watchers import FileWatch, MountWatch

        loop = asyncio.get_running_loop()
        self._mounts = self._mounts or MountWatch(loop, lambda container_id: self._suspect(MOUNTS, container_id))
        self._files = self._files or FileWatch(loop, self._file_changed)
        self.unwatch(container)
        innards = innards_of(self._world, container)
        self._innards[container.id] = innards
        if innards.mounts and not innards.free:
            self._mounts.add(container.id, container.state.pid)
            if not innards.mounts.keys() <= mount_points(container.state.pid):
                self._suspect(MOUNTS, container.id)
        for path in innards.limits:
            self._files.add(container.id, path, path, MODIFY)
        run = str(self._world.container_paths(container.id).run)
        self._files.add(container.id, run, run, DELETE | MOVED_FROM)
        self._watch_directories(container)
        if adopted:
            self._suspect(LIMITS, container.id)
            self._suspect(DELETED, container.id)

    def _watch_directories(self, container: Container) -> None:
        """Those of all containers and of all volumes; and each volume's own, whoever else uses it."""
        assert self._files is not None
        for name in set(container.definition.volumes.values()):
            self._files.add(f"{_VOLUME}{name}", name, str(self._world.layout.volumes / name), DELETE | MOVED_FROM)
        self._watch_shared()
        self._check_records()

    def _watch_shared(self) -> None:
        assert self._files is not None
        state, volumes = self._world.paths.state, self._world.layout.volumes
        places = {_STATES: state / "containers", _VOLUMES: volumes, _RECORDS: state, _PROJECTS: state.parent}
        for owner, path in places.items():
            self._files.add(owner, owner, str(path), DELETE | MOVED_FROM)

    def _file_changed(self, container_id: str, key: Hashable, name: str) -> None:
        if container_id in _SHARED or container_id.startswith(_VOLUME):
            self._deleted(container_id, name)
            return
        self._suspect(FILE if name else LIMIT, container_id, name or str(key))

    def _deleted(self, owner: str, name: str) -> None:
        """Something in a directory that containers share; stackup's own removals are none of theirs any more."""
        if owner == _PROJECTS and name not in ("", self._world.project):
            return
        if owner in (_RECORDS, _PROJECTS):
            self._check_records()
            owner, name = (_STATES, "") if owner == _PROJECTS else (owner, name)
        for container in self._running():
            volumes = container.definition.volumes.values()
            if owner == _STATES:
                affected = name in ("", container.id)
            elif owner == _VOLUMES:
                affected = name in volumes or not name
            elif owner == _RECORDS:
                affected = name in ("", "containers")
            else:
                affected = owner.removeprefix(_VOLUME) in volumes
            if affected:
                self._suspect(DELETED, container.id)

    def _check_records(self) -> None:
        from stackup.engine.rewriting import is_gone, write_anew

        world = self._world
        if world.leaving or not is_gone(world.records):
            return
        try:
            write_anew(world.records)
            end = "they were written anew"
            self._watch_shared()
        except (OSError, sqlite3.Error) as error:
            end = f"they could not be written anew ({error}): do not end the project's supervisor before that is mended"
        text = f"the records {world.records.path} were deleted; {end}"
        world.chronicle.thing("project", "drift", world.project, drift=text)
        log.note(text)
        world.untold.append(text)
        world.tell(text)

    def _suspect(self, what: str, container_id: str = "", file: str = "") -> None:
        self._suspicions.add((what, container_id, file))
        if self._working is None or self._working.done():
            self._working = spawn(self._work())

    # look, decide, act

    async def _work(self) -> None:
        while self._suspicions and not self._world.leaving:
            await asyncio.sleep(SETTLE)
            suspicions, self._suspicions = self._suspicions, set()
            drifts = await self._look(suspicions)
            self._tell([drift for drift in drifts if not drift.kind.can_be_put_back])
            drifts = [drift for drift in drifts if drift.kind.can_be_put_back]
            if drifts:
                await self._repair(self._due(drifts))

    async def _look(self, suspicions: Iterable[Suspicion]) -> list[Drift]:
        from stackup.engine.looking import Looker

        return await Looker(self._world, self._innards).look(suspicions, self._running())

    def _tell(self, drifts: list[Drift]) -> None:
        """What nobody can put back, once. A container whose directory is gone gets an empty one, for its output and its
        exit status from now on."""
        for drift in drifts:
            container = self._world.containers.get(drift.container_id)
            if container is None or (drift.container_id, drift.text) in self._told:
                continue
            self._told.add((drift.container_id, drift.text))
            self._world.chronicle.of_container(container, "drift", drift=drift.text)
            if drift.kind.value == "pipe":
                self._world.tell(
                    f"{container.name}: {drift.text}; its output still arrives, and a restart makes it anew"
                )
                continue
            text = f"{drift.text}; {REMEDY}"
            container.damaged(text)
            self._world.tell(f"{container.name}: {text}")
            directory = self._world.container_paths(container.id).state
            if not directory.exists():
                directory.mkdir(mode=0o700, parents=True)
                for writer in container.writers:
                    writer.begin_anew()

    def _due(self, drifts: list[Drift]) -> list[Drift]:
        """Without those that were repaired a moment ago: they are looked at again when their pause is over."""
        from stackup.engine.drift import Patience

        patience = self._patience = self._patience or Patience()
        now = time.monotonic()
        due: list[Drift] = []
        for drift in drifts:
            left = patience.left(drift.key, now)
            if left:
                asyncio.get_running_loop().call_later(left, self._suspect, *drift.suspicion)
            else:
                due.append(drift)
        for key in {drift.key for drift in due}:
            patience.repaired(key, now)
        return due

    async def _repair(self, drifts: list[Drift]) -> None:
        from stackup.engine.apply import apply
        from stackup.engine.drift import Place, plan_repairs
        from stackup.engine.mending import Repairs

        world = self._world
        places = {item.id: Place(item.service, item.definition.number, item.name) for item in world.containers.values()}
        known = [drift for drift in drifts if not drift.container_id or drift.container_id in places]
        plan = plan_repairs(world.project, known, places, world.desk.care.network_names(), self._failed)
        if not plan:
            return
        command = Command(world.chronicle, "repair", f"repair` (process {os.getpid()})", "", {}, user="stackup")
        command.hear({"event": "plan", **plan.to_dict()})
        repairs = Repairs(world, self._runner, self._innards)
        report = await apply(plan, repairs, command.hear)
        command.ended(0 if report.ok else 1)
        self._failed = (self._failed - repairs.repaired) | repairs.failed
        if not report.ok:  # what was not reached is looked at again as well
            for drift in known:
                if drift.container_id not in repairs.repaired:
                    self._suspect(*drift.suspicion)
        self._refresh(repairs.repaired)

    def _refresh(self, ids: Iterable[str]) -> None:
        """What was put right is what is looked for from now on, links of a new incarnation included."""
        for container_id in ids:
            container = self._world.containers.get(container_id)
            # Who tells of a change may still hold the container's lock.
            if container is not None and container_id in self._innards and container.phase in _SETTLED:
                try:
                    self._begin_with(container, adopted=False)
                except (OSError, ValueError) as error:
                    log.note(f"{container.name} cannot be watched for changes: {error!r}")


def _is_settled(container: Container) -> bool:
    return container.phase in _SETTLED and not container.lock.locked()
