"""How containers are ended: ``pre_stop``, the stop signal, the grace period, SIGKILL.

Each step is recorded as an intent before it happens. What follows on the end itself is ``runner``'s.
"""

from __future__ import annotations

import asyncio
import os
import signal

from stackup.base.errors import ContainerFault, StackupError
from stackup.engine.container import Container
from stackup.engine.deafness import is_deaf
from stackup.engine.endings import exit_on_disk
from stackup.engine.hooks import before_stop
from stackup.engine.tasks import to_the_end
from stackup.engine.world import World
from stackup.model import words
from stackup.model.observed import Phase
from stackup.runtime.freezing import freeze, thaw

EXEC = "start the program with exec, or set `init: true`"  # so that signals reach it
DEAF_PATIENCE = 0.3  # seconds for a process that has just started to install its signal handler
ENDING_PATIENCE = 0.5  # seconds for the launcher to tell of an end that the kernel has told us of,
ENDING_LOOKS = 8  # times so long for it to write down how it ended
KILL_PATIENCE = 10.0  # seconds that a SIGKILLed container may take to be gone before we say so


class Stopper:
    """Carries out what somebody decided about the end of single containers."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def stop(self, container: Container, timeout: float | None = None, *, returns: bool = False) -> None:
        """``pre_stop``, stop signal, SIGKILL after ``timeout`` seconds (None: the container's own; negative: never).

        ``returns``: it is started again afterwards, by who comes after us if need be.
        A second try with no patience at all (two Ctrl-C) does not run ``pre_stop`` again.
        """
        for step in self._world.steps_of(container):
            if step.alive:  # whoever waits for it holds the lock
                await self.stop(step, 0)
        async with container.lock:
            if not container.alive:
                container.stop_wanted()
                return
            held = container.phase in (Phase.PAUSED, Phase.STOPPING)  # a predecessor may have died before thawing it
            definition = container.definition
            grace = definition.supervision.stop_grace if timeout is None else timeout
            asked = timeout is not None or definition.supervision.grace_given
            number = signal_number(definition.supervision.stop_signal)
            impatient = timeout == 0 and container.stop_tried == container.state.incarnation
            container.stop_tried = container.state.incarnation
            container.stopping(returns=returns)
            try:
                if held:
                    await asyncio.to_thread(thaw, definition.cgroup)
                if not impatient:
                    await before_stop(self._world, container)
                # Asked before the signal: a program on its way out may have taken its handlers back (Python does).
                deaf = not definition.init and is_deaf(container.state.pid, number)
                await self._signal(container, number)
                patience = await self._patience(container, number, grace, deaf, asked=asked)
                if not await self._gone(container, None if patience < 0 else patience):
                    await self._kill(container)
            except asyncio.CancelledError:
                if container.phase is Phase.STOPPING and not self._world.leaving:
                    container.stop_abandoned()
                raise

    async def _patience(self, container: Container, number: int, grace: float, deaf: bool, *, asked: bool) -> float:
        """Seconds until SIGKILL; negative: never. Waiting is no use when the kernel has dropped the signal, as it does
        for a PID 1 that has no handler (signal(7)); one that has just started gets a moment to install its own.

        ``asked``: somebody asked for this grace period, which is kept in full. The container may be finishing its work
        in it.
        """
        if 0 <= grace <= DEAF_PATIENCE or not deaf:
            return grace
        if await self._gone(container, DEAF_PATIENCE):
            return grace
        if not is_deaf(container.state.pid, number):
            await self._world.launcher.signal(container.id, number)  # the first one came too early and was dropped
            return grace
        why = f"its PID 1 has no handler for {signal.Signals(number).name}"
        if asked:
            waits = f"killed after {grace:g} s, as was asked for" if grace > 0 else "waited for until it ends by itself"
            self._world.tell(f"{container.name} is {waits}: {why} ({EXEC})")
            return grace - DEAF_PATIENCE if grace > 0 else grace
        self._world.tell(
            f"{container.name} is killed at once instead of after {grace:g} s: {why} "
            f"({EXEC}, or say `stop_grace_period` to have it waited for)"
        )
        return 0.0

    async def renew(self, container: Container) -> None:
        """Stops with grace, and its end brings about a new start: it is unhealthy, or its next run is due."""
        async with container.lock:
            if not container.alive:
                return
            held = container.phase in (Phase.PAUSED, Phase.STOPPING)
            container.stopping(by_user=False)
            if held:
                await asyncio.to_thread(thaw, container.definition.cgroup)
            await before_stop(self._world, container, container.definition.supervision.stop_grace)
            await self._signal(container, signal_number(container.definition.supervision.stop_signal))
            if not await self._gone(container, container.definition.supervision.stop_grace):
                await self._kill(container)

    async def kill(self, container: Container, signal_name: str) -> None:
        """Any signal at once. SIGKILL counts as a stop by the user, as in docker kill. A paused container goes on with
        it, and with its stop signal; others wait until it is resumed."""
        number = signal_number(signal_name)
        if not container.alive:
            raise ContainerFault(f"cannot kill container {container.name}: it is not running")
        if number == signal.SIGKILL:
            async with container.lock:
                if container.alive:
                    held = container.phase is Phase.PAUSED
                    container.stopping()
                    await self._signal(container, number)
                    if held:
                        await asyncio.to_thread(thaw, container.definition.cgroup)
                    await self._kill(container)
            return
        await self._signal(container, number)
        if container.phase is Phase.PAUSED and number == signal_number(container.definition.supervision.stop_signal):
            await self.unpause(container)

    async def pause(self, container: Container) -> None:
        """Raises ContainerFault with what docker says when it is not running, or is paused already."""
        async with container.lock:
            if container.phase is Phase.PAUSED:
                raise ContainerFault(f"cannot pause container {container.name}: it is already paused")
            if container.phase is Phase.RESTARTING:
                raise ContainerFault(
                    f"cannot pause container {container.name}: it is restarting", hint="wait until it is running"
                )
            if container.phase is not Phase.RUNNING:
                raise ContainerFault(f"cannot pause container {container.name}: it is not running")
            container.pausing()
            self.watch_again(container)  # no probe is run while it cannot answer
            try:
                await to_the_end(asyncio.to_thread(freeze, container.definition.cgroup))
            except StackupError as error:
                container.unpaused(never_was=True)
                self.watch_again(container)
                error.message = f"cannot pause container {container.name}: {error.message}"
                raise
            container.paused()

    async def pause_again(self, container: Container) -> None:
        """It is recorded as paused, and may not be. A frozen container is found so, and stays so."""
        try:
            await asyncio.to_thread(freeze, container.definition.cgroup)
        except StackupError as error:
            container.unpaused(never_was=True)
            self.watch_again(container)
            self._world.tell(f"{container.name} is not paused: {error.message}")

    async def unpause(self, container: Container) -> None:
        async with container.lock:
            if container.phase is not Phase.PAUSED:
                raise ContainerFault(f"cannot unpause container {container.name}: it is not paused")
            try:
                await to_the_end(asyncio.to_thread(thaw, container.definition.cgroup))
            except StackupError as error:
                error.message = f"cannot unpause container {container.name}: {error.message}"
                raise
            container.unpaused()
            self.watch_again(container)

    def watch_again(self, container: Container) -> None:
        """What is to be watched of it has changed; ``runner`` knows how."""
        raise NotImplementedError

    async def _kill(self, container: Container) -> None:
        await self._signal(container, signal.SIGKILL)
        if not await self._gone(container, KILL_PATIENCE):
            raise ContainerFault(
                f"cannot kill container {container.name}: process {container.state.pid} does not go away",
                hint="it may hang in the kernel, e.g. on a dead network file system",
            )

    async def _signal(self, container: Container, number: int) -> None:
        self._world.chronicle.of_container(container, "kill", signal=_signal_name(number))
        await self._world.launcher.signal(container.id, number)

    async def _gone(self, container: Container, timeout: float | None) -> bool:
        """Whether it ends within ``timeout`` seconds (None: no limit), by the launcher's word or by the kernel's."""
        changes = self._world.changes[container.service]
        watching = asyncio.get_running_loop().create_task(self._notice(container))
        try:
            return await changes.until(lambda: not container.alive, timeout=timeout)
        finally:
            watching.cancel()

    async def _notice(self, container: Container) -> None:
        """Nobody may wait for ever for a process that is gone, whatever became of the message that says so."""
        incarnation = container.state.incarnation
        await _readable(container.pidfd)
        for _ in range(ENDING_LOOKS):
            await asyncio.sleep(ENDING_PATIENCE)
            if exit_on_disk(self._world, container) is not None:
                break
        if container.alive and container.state.incarnation == incarnation:
            self.ended_unheard(container)

    def ended_unheard(self, container: Container) -> None:
        """Its process is gone, and nobody said so; ``runner`` knows what follows."""
        raise NotImplementedError


async def _readable(pidfd: int) -> None:
    """Returns when the process has ended."""
    if pidfd < 0:
        await asyncio.Event().wait()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    own = os.dup(pidfd)  # the other one is closed as soon as the end is known
    loop.add_reader(own, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(own)
        os.close(own)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time one between the first and the last
        return str(number)


def signal_number(name: str) -> int:
    """``SIGTERM``, ``TERM``, ``15`` or ``SIGRTMIN+3``. Raises ContainerFault for anything else."""
    number = words.signal_number(name)
    if number is None:
        raise ContainerFault(f"cannot send signal {name}: there is no such signal")
    return number
