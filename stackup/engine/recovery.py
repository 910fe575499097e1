"""What a supervisor does first: compares records, launcher and kernel, and takes over where its predecessor stood.

Truth was written before every effect, so each phase says what may have happened; see the table in ``_resume``.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import suppress
from dataclasses import replace

from stackup.base.clock import now_ns
from stackup.base.errors import StackupError
from stackup.engine.bundles import has_spec
from stackup.engine.container import Container
from stackup.engine.runner import Runner
from stackup.engine.world import World
from stackup.model.observed import Phase
from stackup.runtime.client import Exit, Orphan, Running

RAN = frozenset({Phase.STARTING, Phase.RUNNING, Phase.STOPPING})  # phases with a process, or nearly


async def recover(world: World, runner: Runner) -> None:
    """Fills ``world.containers`` from the records and makes every one of them true again."""
    running = {item.container_id: item for item in await world.launcher.list()}
    for record in world.records.containers():
        container = Container(record.definition, record.state, world.records, world.publish)
        world.containers[container.id] = container
    changed = await world.desk.recover(world.records.networks(), list(world.containers.values()))
    for key, data in changed.items():
        world.records.put_network(key, data)
    for container in list(world.containers.values()):
        await _resume(world, runner, container, running.get(container.id))
    await world.desk.publish()
    _remove_unrecorded(world)


async def _resume(world: World, runner: Runner, container: Container, running: Running | None) -> None:
    """By phase: STARTING, RUNNING, STOPPING: adopt what lives, settle what ended; RESTARTING: wait on; CREATED with no
    bundle: its creation was cut short, remove; REMOVING: go on removing."""
    if container.phase in RAN and not container.may_run:
        _after_reboot(world, container)
    elif container.phase in RAN:
        found = running or await _adopt_orphan(world, container)
        if found is None:
            await _settle_lost(world, runner, container)
        else:
            await _take_over(world, runner, container, found)
    elif container.phase is Phase.RESTARTING:
        container.aftermath = asyncio.get_running_loop().create_task(runner.restart_when_due(container))
    elif container.phase is Phase.REMOVING or not has_spec(world, container):
        await runner.remove(container, volumes=False)


def _after_reboot(world: World, container: Container) -> None:
    """The machine was restarted: its processes are gone, and nobody could see how they ended."""
    state = replace(
        container.state,
        phase=Phase.EXITED.value,
        pid=0,
        start_time=0,
        exit_code=None,
        exit_unknown=True,
        health="none",
        host_ports=(),
        finished_ns=container.state.finished_ns or now_ns(),
    )
    container.state = state
    world.records.set_state(container.id, state)


async def _adopt_orphan(world: World, container: Container) -> Running | None:
    """The launcher does not know it: its own launcher died. A live process is adopted by a new one."""
    state = container.state
    bundle = world.container_paths(container.id).bundle
    if not (bundle / "launch.json").exists():
        return None
    return await world.launcher.adopt(Orphan(bundle, state.pid, state.start_time, state.boot_id))


async def _take_over(world: World, runner: Runner, container: Container, running: Running) -> None:
    was = container.phase
    runner.adopt(container, running)
    if running.exit is not None:
        runner.exited(running.exit)
    elif was is Phase.STOPPING:
        # the predecessor died between the stop signal and its grace's end; the signal is sent once more
        asyncio.get_running_loop().create_task(_stop_again(world, runner, container))


async def _stop_again(world: World, runner: Runner, container: Container) -> None:
    try:
        await runner.stop(container)
    except StackupError as error:
        world.tell(error.message)


async def _settle_lost(world: World, runner: Runner, container: Container) -> None:
    """It is gone. Its exit status is on disk where a launcher saw it, else nobody knows it."""
    known = _exit_on_disk(world, container)
    if container.phase is Phase.STARTING:
        container.started(0, 0, -1)
    runner.open_output_for_rest(container)
    if known is None:
        runner.vanished(container)
    else:
        runner.exited(known)


def _exit_on_disk(world: World, container: Container) -> Exit | None:
    try:
        data = json.loads(world.container_paths(container.id).exit_file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if data.get("incarnation") != container.state.incarnation:
        return None
    return Exit(container.id, data["status"], data["signal"], data["oom"], data["at_ns"])


def _remove_unrecorded(world: World) -> None:
    """Directories of containers that no record names: their records were dropped, their removal was cut short."""
    for parent in (world.paths.state / "containers", world.paths.run / "containers"):
        with suppress(FileNotFoundError):
            for entry in list(parent.iterdir()):
                if entry.name not in world.containers:
                    shutil.rmtree(entry, ignore_errors=True)
