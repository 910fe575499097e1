"""Processes inside a running container: hooks and what a user asks for with ``exec``."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from stackup.base.errors import ContainerFault, StackupError
from stackup.engine.container import Container
from stackup.engine.damage import REMEDY
from stackup.engine.world import World
from stackup.images.lookup import User, resolve_user
from stackup.linux import capabilities
from stackup.linux.overlay import Overlay
from stackup.model.observed import Phase
from stackup.oci.runtime import Spec
from stackup.runtime.bundle import read_bundle
from stackup.runtime.client import ExecStarted
from stackup.spec import render_exec

KILLED_PATIENCE = 2.0  # seconds until a killed probe must be reaped


async def start_inside(
    world: World,
    container: Container,
    command: Sequence[str],
    *,
    stdio: tuple[int, int, int] | None,
    tty: bool = False,
    user: str = "",
    environment: Sequence[str] = (),
    working_dir: str = "",
    privileged: bool = False,
    exec_id: str = "",
) -> ExecStarted:
    """Starts ``command`` beside the container's own process. Raises ContainerFault.

    The caller waits for its end with ``world.execs``, or forgets it there. ``exec_id``: one that a successor of this
    process can find it by.
    """
    check_runs(container)
    process = render_exec(
        current_spec(world, container),
        command,
        user=find_user(container, user) if user else None,
        env=environment,
        cwd=working_dir,
        tty=tty,
        privileged=privileged,
        known=capabilities.present() if privileged else (),
    )
    seccomp_filter = "" if privileged else container.definition.seccomp_filter
    exec_id = world.execs.expect(exec_id)
    try:
        return await world.launcher.exec(
            container.id, process, exec_id=exec_id, stdio=stdio, tty=tty, seccomp_filter=seccomp_filter
        )
    except BaseException:
        world.execs.forget(exec_id)
        raise


def check_runs(container: Container) -> None:
    """Raises ContainerFault when nothing can be run in it."""
    if not container.alive:
        raise ContainerFault(f"cannot execute in container {container.name}: it is not running")
    if container.phase is Phase.PAUSED:
        raise ContainerFault(
            f"cannot execute in container {container.name}: it is paused",
            hint=f"resume it first: stackup unpause {container.service}",
        )


def current_spec(world: World, container: Container) -> Spec:
    """What the container was started from; read once an incarnation, since probes ask often. Raises ContainerFault."""
    if container.spec is None or container.spec[0] != container.state.incarnation:
        try:
            spec, _ = read_bundle(world.container_paths(container.id).state)
        except FileNotFoundError as error:
            raise ContainerFault(
                f"cannot execute in container {container.name}: its state directory was deleted ({error.filename})",
                hint=REMEDY,
            ) from error
        container.spec = (container.state.incarnation, spec)
    return container.spec[1]


def find_user(container: Container, text: str) -> User:
    """By the container's own /etc/passwd, as it is now. Raises ContainerFault."""
    overlays = tuple(
        Overlay(item["target"], (*filter(None, (item["upper"],)), *item["lowers"]))
        for item in container.definition.overlays
    )
    return resolve_user(overlays, text)


async def run_inside(
    world: World,
    container: Container,
    command: Sequence[str],
    *,
    timeout: float = 0,
    limit: int,
    last: bool = False,
    exec_id: str = "",
    user: str = "",
    environment: Sequence[str] = (),
    working_dir: str = "",
    privileged: bool = False,
) -> tuple[int, str]:
    """Runs to the end; answers exit code and the first (``last``: the last) ``limit`` bytes of its output.

    Raises TimeoutError after ``timeout`` seconds (0: no limit). Then, and when the caller is cancelled, the process is
    killed.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.set_blocking(writing, True)
    output = Output(reading, limit, last=last)
    output.watch()
    started = ""
    try:
        try:
            started = (
                await start_inside(
                    world,
                    container,
                    command,
                    stdio=(null, writing, writing),
                    user=user,
                    environment=environment,
                    working_dir=working_dir,
                    privileged=privileged,
                    exec_id=exec_id,
                )
            ).exec_id
        finally:
            os.close(null)
            os.close(writing)
        async with asyncio.timeout(timeout or None):
            end = await world.execs.wait(started)
    except (TimeoutError, asyncio.CancelledError):
        await _kill(world, started or exec_id)
        raise
    finally:
        world.execs.forget(started)
        output.close()
    return (1 if end.status is None else end.status), output.text


async def _kill(world: World, exec_id: str) -> None:
    if not exec_id:
        return
    with suppress(StackupError):
        await world.launcher.signal(exec_id, signal.SIGKILL)
    with suppress(TimeoutError, KeyError):  # KeyError: its start was cut short
        async with asyncio.timeout(KILLED_PATIENCE):
            await world.execs.wait(exec_id)


class Output:
    """Collects a pipe's first or last bytes and throws the rest away."""

    def __init__(self, fd: int, limit: int, *, last: bool = False) -> None:
        self._fd = fd
        self._limit = limit
        self._last = last
        self._data = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None

    def watch(self) -> None:
        """From now on the writer never has to wait. Until then, what it writes has to fit into the pipe."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        if data and self._last:
            self._data += data
            del self._data[: -self._limit]
        elif data:
            self._data += data[: max(0, self._limit - len(self._data))]
        elif self._loop:
            self._loop.remove_reader(self._fd)

    def close(self) -> None:
        self._read()
        if self._loop:
            self._loop.remove_reader(self._fd)
        os.close(self._fd)

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", "replace")
