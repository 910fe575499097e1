"""What a supervisor does first: compares records, launcher and kernel, and takes over where its predecessor stood.

Truth was written before every effect, so each phase says what may have happened; see the table in ``_resume``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from stackup.base import log
from stackup.base.clock import boot_id
from stackup.base.errors import StackupError
from stackup.base.names import project_cgroup
from stackup.engine.bundles import has_spec
from stackup.engine.container import Container
from stackup.engine.deafness import is_deaf
from stackup.engine.endings import Endings
from stackup.engine.prestart import end_steps
from stackup.engine.runner import Runner
from stackup.engine.status import unrecorded_text
from stackup.engine.tasks import spawn
from stackup.engine.world import World
from stackup.model.observed import Phase
from stackup.runtime.cgroups import OWN_GROUP, children, kill_all, processes, remove_cgroups
from stackup.runtime.client import LauncherLost, Orphan, Running

DEFAULT_GRACE = 10.0  # seconds that Docker gives between SIGTERM and SIGKILL
LOOK_EVERY = 0.05
RAN = frozenset({Phase.STARTING, Phase.RUNNING, Phase.PAUSED, Phase.STOPPING})  # phases with a process, or nearly


async def recover(world: World, runner: Runner, endings: Endings) -> None:
    """Fills ``world.containers`` from the records and makes every one of them true again.

    What ends meanwhile is heard of through ``endings`` once it has been taken over: the list below is older.
    """
    running = {item.container_id: item for item in await world.launcher.list()}
    for record in world.records.containers():
        container = Container(record.definition, record.state, world.records, world.publish)
        world.containers[container.id] = container
    endings.expect(world.containers)
    changed = await world.desk.recover(world.records.networks(), list(world.containers.values()))
    for key, data in changed.items():
        world.records.put_network(key, data)
    for container in list(world.containers.values()):
        try:
            await _resume(world, runner, container, running.pop(container.id, None))
        except (StackupError, OSError) as error:
            if isinstance(error, LauncherLost):
                raise
            log.note(f"cannot take over {container.name}: {error}")  # the others are not to suffer
        endings.taken_over(container.id)
    await end_steps(world, runner)
    await world.desk.ports.publish()
    await _remove_unrecorded(world, list(running))
    returning = [item for item in world.containers.values() if item.state.returns]
    if returning:
        spawn(_start_again(world, runner, returning))


async def _resume(world: World, runner: Runner, container: Container, running: Running | None) -> None:
    """By phase: STARTING, RUNNING, STOPPING: adopt what lives, settle what ended; RESTARTING: wait on; CREATED with no
    bundle: its creation was cut short, remove; REMOVING: go on removing."""
    if container.phase in RAN | {Phase.RESTARTING} and container.state.boot_id != boot_id():
        container.lost_by_reboot()
    elif container.phase in RAN:
        found = running or await _adopt_orphan(world, container)
        if found is None:
            await _settle_lost(world, runner, container)
        else:
            await _take_over(world, runner, container, found)
    elif container.phase is Phase.REMOVING or not has_spec(world, container):
        await runner.remove(container, volumes=False)
    elif running is not None and running.exit is None:
        container.found_running(running.incarnation, running.pid, running.start_time)
        await _take_over(world, runner, container, running)
    else:
        if running is not None:
            runner.take_rest(container)
        if container.phase is Phase.RESTARTING:
            container.aftermath = spawn(runner.restart_when_due(container))


async def _adopt_orphan(world: World, container: Container) -> Running | None:
    """The launcher does not know it: its own launcher died. A live process is adopted by a new one."""
    state = container.state
    bundle = world.container_paths(container.id).state
    if not (bundle / "launch.json").exists():
        return None
    return await world.launcher.adopt(Orphan(bundle, state.pid, state.start_time, state.boot_id))


async def _take_over(world: World, runner: Runner, container: Container, running: Running) -> None:
    was = container.phase
    runner.adopt(container, running)
    if running.exit is not None:
        runner.exited(running.exit)
    elif was is Phase.PAUSED:  # the predecessor may have died before it came to it
        await runner.pause_again(container)
    elif was is Phase.STOPPING:
        # the predecessor died between the stop signal and its grace's end; the signal is sent once more
        renews, returns = not container.state.stopped_by_user, container.state.returns
        spawn(_stop_again(world, runner.renew(container) if renews else runner.stop(container, returns=returns)))


async def _start_again(world: World, runner: Runner, containers: list[Container]) -> None:
    """Those that a restart had stopped, or was about to; in the order of their creation, for some live in others."""
    for container in containers:
        await world.changes[container.service].until(lambda: not container.alive)  # noqa: B023
        try:
            if container.state.returns and container.phase is Phase.EXITED:
                await runner.start(container)
        except StackupError as error:
            world.tell(error.message)


async def _stop_again(world: World, stopping: Coroutine[Any, Any, None]) -> None:
    try:
        await stopping
    except StackupError as error:
        world.tell(error.message)


async def _settle_lost(world: World, runner: Runner, container: Container) -> None:
    """It is gone, and no launcher will tell how it ended."""
    if container.phase is Phase.STARTING:
        container.started(0, 0, -1)
    runner.take_rest(container)
    runner.ended_unheard(container)


async def _remove_unrecorded(world: World, running: list[str]) -> None:
    """What no record names, found by the names of things: the records were lost, or a removal was cut short."""
    group = project_cgroup(world.project, world.layout.root)
    known = {container_id[:12] for container_id in world.containers} | {OWN_GROUP}
    strangers = [f"{group}/{name}" for name in children(group) if name not in known]
    living = [stranger for stranger in strangers if processes(stranger)]
    if living:
        await asyncio.to_thread(_end, living)
        text = f"{unrecorded_text(living)}; ended"
        log.note(text)
        world.untold.append(text)
        world.chronicle.thing("project", "drift", world.project, drift=text)
    for container_id in running:
        await world.launcher.signal(container_id, signal.SIGKILL)
    for stranger in strangers:
        await asyncio.to_thread(kill_all, stranger)
    if strangers:
        await asyncio.to_thread(remove_cgroups, *strangers)
    for container_id in running:
        await world.launcher.drained(container_id)
    found = [entry for entry in _directories(world) if entry.name not in world.containers]
    for entry in found:
        await asyncio.to_thread(shutil.rmtree, entry, ignore_errors=True)
    if (found or strangers) and not world.containers and not world.records.networks():
        await world.desk.purge()


def _end(groups: Sequence[str]) -> None:
    """Asks for their end, and waits for it; what cannot hear that is killed."""
    deadline = time.monotonic() + DEFAULT_GRACE
    for group in groups:
        for pid in processes(group):
            with suppress(ProcessLookupError):
                fd = os.pidfd_open(pid)
                try:
                    if pid in processes(group):  # it is still the process that was looked at
                        deaf = is_deaf(pid, signal.SIGTERM)
                        signal.pidfd_send_signal(fd, signal.SIGKILL if deaf else signal.SIGTERM)
                finally:
                    os.close(fd)
    while any(map(processes, groups)) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)


def _directories(world: World) -> Iterator[Path]:
    for parent in (world.paths.state / "containers", world.paths.run / "containers"):
        with suppress(FileNotFoundError):
            yield from list(parent.iterdir())
