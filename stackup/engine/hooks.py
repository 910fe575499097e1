"""``post_start`` and ``pre_stop``: commands beside the container's own, one after the other.

What is run can be found again by its id, so that a successor of this process ends what a killed one began, and begins
anew: a hook may run more than once, never not at all. ``STACKUP_HOOK`` in its environment says which one it is.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Sequence
from contextlib import suppress

from stackup.base.errors import ContainerFault, StackupError
from stackup.engine.container import Container
from stackup.engine.oneshot import run_inside
from stackup.engine.supervision import Hook
from stackup.engine.world import World
from stackup.runtime.cgroups import processes
from stackup.runtime.client import LauncherLost

OUTPUT_LIMIT = 4096  # bytes kept of a hook's output, the last ones
SLOW = 5.0  # seconds after which the users who wait are told what they wait for
COMMAND_WIDTH = 60

POST_START = "post_start"
PRE_STOP = "pre_stop"


async def run_hooks(world: World, container: Container, kind: str, hooks: Sequence[Hook], timeout: float = 0) -> None:
    """In order; ``timeout`` seconds each (0: no limit). Raises ContainerFault for the first one that fails.

    Cancelled, or when its time is over, the command that is under way is killed.
    """
    for index, hook in enumerate(hooks):
        await _run(world, container, kind, index, hook, timeout)


async def end_leftovers(world: World, container: Container, kind: str, hooks: Sequence[Hook]) -> None:
    """Kills what a predecessor of this process was running, children included."""
    for index in range(len(hooks)):
        await world.launcher.signal(_exec_id(container, kind, index), signal.SIGKILL)
        _kill_marked(container, _marker(container, kind, index))


async def _run(world: World, container: Container, kind: str, index: int, hook: Hook, timeout: float) -> None:
    name = f"its {kind} command `{shown(hook.command)}`"
    slow = asyncio.get_running_loop().call_later(SLOW, lambda: world.tell(f"{container.name}: {name} is still running"))
    try:
        status, output = await run_inside(
            world,
            container,
            hook.command,
            timeout=timeout,
            limit=OUTPUT_LIMIT,
            last=True,
            exec_id=_exec_id(container, kind, index),
            user=hook.user,
            environment=(*hook.environment, _marker(container, kind, index)),
            working_dir=hook.working_dir,
            privileged=hook.privileged,
        )
    except asyncio.CancelledError:
        _kill_marked(container, _marker(container, kind, index))
        raise
    except TimeoutError:
        _kill_marked(container, _marker(container, kind, index))
        raise ContainerFault(f"{name} did not end within {timeout:g} s") from None
    except LauncherLost:
        raise
    except StackupError as error:
        reason = error.message if container.alive else "the container has ended"
        raise ContainerFault(f"{name} cannot be run: {reason.removeprefix('cannot run ')}") from error
    finally:
        slow.cancel()
    world.hook_ended(container, kind, hook.command, status, output)
    if status:
        ended = "" if container.alive else "; the container has ended"
        raise ContainerFault(f"{name} exited with code {status}{ended}", hint=_told(output))


def shown(command: Sequence[str]) -> str:
    text = shlex.join(command)
    return text if len(text) <= COMMAND_WIDTH else f"{text[: COMMAND_WIDTH - 3]}..."


def _told(output: str) -> str:
    return f"its last output:\n{output.strip()}" if output.strip() else ""


def _exec_id(container: Container, kind: str, index: int) -> str:
    """Every run of an incarnation has the same, so that two can never be under way at once."""
    return f"{kind}-{index}-{container.state.incarnation}-{container.id}"


def _marker(container: Container, kind: str, index: int) -> str:
    """In the environment of a hook and its children, so that they can be found when both our processes were killed."""
    return f"STACKUP_HOOK={kind}-{index}-{container.state.incarnation}"


def _kill_marked(container: Container, marker: str) -> None:
    """Only processes of the container's own control group; each is looked at again through its descriptor."""
    group = container.definition.cgroup
    for pid in processes(group):
        with suppress(OSError):
            fd = os.pidfd_open(pid)
            try:
                if _is_marked(pid, marker) and pid in processes(group):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
            finally:
                os.close(fd)


def _is_marked(pid: int, marker: str) -> bool:
    with open(f"/proc/{pid}/environ", "rb") as file:
        return marker.encode() in file.read().split(b"\0")


async def before_stop(world: World, container: Container, timeout: float = 0) -> None:
    """The ``pre_stop`` hooks. What fails is told, and the stop goes on; also when the container ends meanwhile."""
    hooks = container.definition.supervision.pre_stop
    if not hooks:
        return
    with suppress(LauncherLost):
        await end_leftovers(world, container, PRE_STOP, hooks)
    try:
        await run_hooks(world, container, PRE_STOP, hooks, timeout)
    except LauncherLost:
        raise
    except ContainerFault as error:
        if container.alive:
            hint = f"\n{error.hint}" if error.hint else ""
            world.tell(f"{container.name} is stopped although {error.message}{hint}")


async def after_start(world: World, container: Container) -> None:
    """The ``post_start`` hooks of the incarnation that runs, unless they have been run. Raises ContainerFault."""
    hooks = container.definition.supervision.post_start
    if not container.state.post_start_due or not container.alive:
        return
    incarnation = container.state.incarnation
    try:
        await run_hooks(world, container, POST_START, hooks)
    except LauncherLost:
        raise
    except ContainerFault as error:
        container.post_start_failed(incarnation, error.message)
        error.message = f"cannot start container {container.name}: {error.message}"
        raise
    except asyncio.CancelledError:
        if not world.leaving:
            container.post_start_done(incarnation)
        raise
    container.post_start_done(incarnation)


async def resume_after_start(world: World, container: Container) -> None:
    """A predecessor died in the middle of it."""
    try:
        await end_leftovers(world, container, POST_START, container.definition.supervision.post_start)
        await after_start(world, container)
    except LauncherLost:
        return
    except StackupError as error:
        world.tell(error.message)
