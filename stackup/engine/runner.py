"""Effects on one container: start, stop, kill, remove, and what follows when its process ends.

Each effect is recorded as an intent before it happens and settled after it, so that whoever comes after a kill -9 can
tell what was under way.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress

from stackup.base.clock import now_ns
from stackup.base.errors import ContainerFault, StackupError
from stackup.engine.bundles import write_incarnation
from stackup.engine.container import Container, exit_text
from stackup.engine.deafness import is_deaf
from stackup.engine.hooks import after_start, before_stop, resume_after_start
from stackup.engine.lastwords import last_lines
from stackup.engine.logreader import STREAMS
from stackup.engine.logwriter import LogWriter
from stackup.engine.prestart import prepare
from stackup.engine.prober import watch_health
from stackup.engine.supervision import (
    CRASH_LOOP,
    RestartDecision,
    RestartState,
    crash_text,
    decide_restart,
    restart_at_once,
)
from stackup.engine.tasks import done, spawn, to_the_end
from stackup.engine.world import World
from stackup.model.observed import Phase
from stackup.runtime.cgroups import remove_cgroups
from stackup.runtime.client import Exit, LauncherLost, Running

DEAF_PATIENCE = 0.3  # seconds for a process that has just started to install its signal handler
KILL_PATIENCE = 10.0  # seconds that a SIGKILLed container may take to be gone before we say so
COMMAND_NOT_FOUND = 127
CANNOT_EXECUTE = 126


class Runner:
    """Carries out what somebody decided about single containers."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def start(self, container: Container, *, only: Phase | None = None) -> None:
        """Starts a container that is not running. Raises ContainerFault; the container is then EXITED.

        ``only``: do nothing unless the container is in this phase when its turn comes.
        """
        async with container.lock:
            if container.alive or container.phase is Phase.REMOVING or (only and container.phase is not only):
                return
            await done(container.tidying)
            await prepare(self._world, self, container)
            async with self._world.starts:
                await to_the_end(self._start(container, again=only is Phase.RESTARTING))
        await after_start(self._world, container)

    async def _start(self, container: Container, *, again: bool) -> None:
        """Never cancelled but by the end of this process: then, or when the launcher is lost, the record says what may
        have happened, and a successor finds out."""
        world = self._world
        try:
            ports = await world.desk.reserve(container.definition)
            attachments = world.desk.attach(container, container.state.incarnation + 1)
            write_incarnation(world, container, container.state.incarnation + 1)
            container.starting(ports, attachments)
            if not container.definition.tty:
                self._open_output(container)
            started = await world.launcher.start(world.container_paths(container.id).state)
        except LauncherLost:
            raise
        except StackupError as error:
            if isinstance(error, ContainerFault) and container.name not in error.message:
                reason = error.message.removeprefix("cannot run ")
                error.message = f"cannot start container {container.name}: {reason}"
            await self._undo_start(container, error, again=again)
            raise
        except Exception as error:
            why = error.strerror if isinstance(error, OSError) else repr(error)
            fault = ContainerFault(f"cannot start container {container.name}: {why}")
            await self._undo_start(container, fault, again=again)
            raise fault from error
        if started.console is not None:
            self._open_console(container, started.console)
        container.started(started.pid, started.start_time, started.pidfd)
        world.desk.serve(container, started.dns_udp, started.dns_tcp)
        try:
            await world.desk.publish(container)
        finally:
            self._watch(container)
            if container.early_exit is not None:
                early, container.early_exit = container.early_exit, None
                self.exited(early)

    def _open_output(self, container: Container) -> None:
        paths = self._world.container_paths(container.id)
        os.makedirs(paths.run, exist_ok=True)
        kept = {writer.stream for writer in container.writers}  # still busy with what the incarnation before has said
        for writer in container.writers:
            writer.go_on()
        for stream in STREAMS:
            if stream in kept:
                continue
            fifo = f"{paths.run}/{stream}"
            with suppress(FileExistsError):
                os.mkfifo(fifo, 0o600)
            container.writers.append(LogWriter(fifo, paths.state, stream, lambda: self._world.output(container.id)))

    def _open_console(self, container: Container, console: int) -> None:
        paths = self._world.container_paths(container.id)
        writer = LogWriter(
            paths.fifo("stdout"), paths.state, "stdout", lambda: self._world.output(container.id), source=console
        )
        container.writers.append(writer)

    async def _undo_start(self, container: Container, error: StackupError, *, again: bool) -> None:
        """``again``: it was the restart policy's attempt, and counts as an end."""
        self._close_output(container)
        await self._world.desk.detach(container)
        code = COMMAND_NOT_FOUND if isinstance(error, ContainerFault) and error.errno == 2 else CANNOT_EXECUTE
        if not again:
            container.start_failed(error.message, code)
            return
        decision = self._decide(container, code, ran_for=0.0, by_user=False)
        container.ended(
            exit_code=code,
            oom_killed=False,
            at_ns=now_ns(),
            decision=decision,
            by_user=False,
            error=error.message,
        )

    def _watch(self, container: Container) -> None:
        if container.definition.supervision.health:
            container.watching = spawn(watch_health(self._world, self, container))

    def watch_again(self, container: Container) -> None:
        """By the rules of its definition, which have changed."""
        if container.watching:
            container.watching.cancel()
            container.watching = None
        if container.alive:
            self._watch(container)

    def _close_output(self, container: Container) -> None:
        """All of it is taken first. What a full disk does not take yet stays in the FIFO, with its writer."""
        empty = lambda: self._output_taken(container)  # noqa: E731 - one object for all writers
        container.writers = [writer for writer in container.writers if not writer.finish(empty)]

    def _output_taken(self, container: Container) -> None:
        container.writers = [writer for writer in container.writers if writer.blocked]
        if not container.writers and not container.alive:
            spawn(self._drained(container))

    def take_rest(self, container: Container) -> None:
        """What an ended container's FIFOs may still hold."""
        if not container.definition.tty:
            self._open_output(container)
            self._close_output(container)
            if not container.writers:
                container.tidying = spawn(self._drained(container))

    async def _drained(self, container: Container) -> None:
        with suppress(LauncherLost):
            await self._world.launcher.drained(container.id)

    def adopt(self, container: Container, running: Running) -> None:
        """A supervisor came back and finds the container alive: take over output, names and health where they stood."""
        if running.console is not None:
            self._open_console(container, running.console)
        elif not container.definition.tty:
            self._open_output(container)
        container.pidfd = running.pidfd
        if container.phase is Phase.STARTING:
            container.started(running.pid, running.start_time, running.pidfd)
        self._world.desk.serve(container, running.dns_udp, running.dns_tcp)
        self._watch(container)
        if container.state.post_start_due and container.phase is Phase.RUNNING:
            spawn(resume_after_start(self._world, container))

    def exited(self, event: Exit) -> None:
        """The launcher reaped a container's first process; its status is on disk already."""
        container = self._world.containers.get(event.id)
        if container is None:
            return
        if container.phase is Phase.STARTING:
            container.early_exit = event
            return
        if not container.alive:
            return
        self._settle_exit(container, event.status, oom_killed=event.oom, at_ns=event.at_ns)

    def _settle_exit(self, container: Container, status: int | None, *, oom_killed: bool, at_ns: int) -> None:
        state = container.state
        if container.watching:
            container.watching.cancel()
            container.watching = None
        ran_for = container.age
        self._close_output(container)
        if container.pidfd >= 0:
            os.close(container.pidfd)
            container.pidfd = -1
        by_user = container.phase is Phase.STOPPING and state.stopped_by_user
        decision = self._decide(container, status, ran_for=ran_for, by_user=by_user)
        container.ended(exit_code=status, oom_killed=oom_killed, at_ns=at_ns, decision=decision, by_user=by_user)
        container.tidying = spawn(self._tidy(container))
        container.aftermath = spawn(self._after_exit(container, decision))

    def _decide(self, container: Container, status: int | None, *, ran_for: float, by_user: bool) -> RestartDecision:
        state = container.state
        if container.phase is Phase.STOPPING and not by_user:
            return restart_at_once(RestartState(state.attempts, state.restart_delay))
        return decide_restart(
            container.definition.supervision.restart,
            RestartState(state.attempts, state.restart_delay),
            exit_code=status,
            ran_for=ran_for,
            stopped_by_user=by_user,
        )

    async def _tidy(self, container: Container) -> None:
        """What only a running container needs. Another start waits for this, or it would lose what it has just got."""
        try:
            if not container.writers:
                await self._drained(container)
            await self._world.desk.detach(container)
        except LauncherLost:
            return
        except StackupError as error:
            self._world.tell(f"{container.name}: {error.message}")

    async def _after_exit(self, container: Container, decision: RestartDecision) -> None:
        await done(container.tidying)
        if decision.state.attempts >= CRASH_LOOP or (decision.state.attempts and not decision.restart):
            spawn(self._tell_crashes(container, decision, exit_text(container.state)))
        await self.restart_when_due(container)

    async def _tell_crashes(self, container: Container, decision: RestartDecision, ended: str) -> None:
        """Said once; ``ps`` shows it as long as it lasts. Nobody waits for it: the restart may be due at once."""
        lines = await asyncio.to_thread(last_lines, self._world, [container], 1)
        text = crash_text(decision, ended, lines[-1].text.strip() if lines else "")
        if not text or container.state.stopped_by_user:
            return
        if container.phase in (Phase.RESTARTING, Phase.EXITED):
            container.crashes(text)
        if not decision.restart or decision.state.attempts == CRASH_LOOP:
            self._world.tell(f"{container.name}: {text}")

    async def restart_when_due(self, container: Container) -> None:
        """Waits for the time that the restart policy chose, then starts; a failed start counts as an exit."""
        changes = self._world.changes[container.service]
        while container.phase is Phase.RESTARTING:
            # The wall clock may have been set: the delay that was decided is the longest that is waited.
            left = (container.state.restart_at_ns - now_ns()) / 1e9
            delay = min(max(0.0, left), container.state.restart_delay)
            if await changes.until(lambda: container.phase is not Phase.RESTARTING, timeout=delay):
                return
            try:
                await self.start(container, only=Phase.RESTARTING)
            except LauncherLost:
                return
            except StackupError as error:
                self._world.tell(f"{container.name}: {error.message}")

    async def stop(self, container: Container, timeout: float | None = None) -> None:
        """``pre_stop``, stop signal, SIGKILL after ``timeout`` seconds (None: the container's own; negative: never).

        A second try with no patience at all (two Ctrl-C) does not run ``pre_stop`` again.
        """
        async with container.lock:
            if not container.alive:
                container.stop_wanted()
                return
            definition = container.definition
            grace = definition.supervision.stop_grace if timeout is None else timeout
            number = signal_number(definition.supervision.stop_signal)
            impatient = timeout == 0 and container.stop_tried == container.state.incarnation
            container.stop_tried = container.state.incarnation
            container.stopping()
            try:
                if not impatient:
                    await before_stop(self._world, container)
                # Asked before the signal: a program on its way out may have taken its handlers back (Python does).
                deaf = self._may_cut_short(container, timeout) and is_deaf(container.state.pid, number)
                await self._signal(container, number)
                patience = await self._patience(container, number, grace, deaf)
                if not await self._gone(container, None if patience < 0 else patience):
                    await self._kill(container)
            except asyncio.CancelledError:
                if container.phase is Phase.STOPPING and not self._world.leaving:
                    container.stop_abandoned()
                raise

    def _may_cut_short(self, container: Container, timeout: float | None) -> bool:
        """A grace period that somebody asked for is kept in full: the container may be finishing its work in it."""
        return timeout is None and not container.definition.supervision.grace_given and not container.definition.init

    async def _patience(self, container: Container, number: int, grace: float, deaf: bool) -> float:
        """Seconds until SIGKILL; negative: never. Waiting is no use when the kernel has dropped the signal, as it does
        for a PID 1 that has no handler (signal(7)); one that has just started gets a moment to install its own."""
        if grace <= DEAF_PATIENCE or not deaf:
            return grace
        if await self._gone(container, DEAF_PATIENCE):
            return grace
        if not is_deaf(container.state.pid, number):
            await self._signal(container, number)  # the first one came too early and was dropped
            return grace
        name = signal.Signals(number).name
        self._world.tell(
            f"{container.name} is killed at once instead of after {grace:g} s: its PID 1 has no handler for {name} "
            "(start the program with exec, set `init: true`, or say `stop_grace_period` to have it waited for)"
        )
        return 0.0

    async def restart_unhealthy(self, container: Container) -> None:
        """Asked for by ``x-stackup.restart_when: unhealthy``: stop with grace; its end brings about the new start."""
        async with container.lock:
            if not container.alive:
                return
            container.stopping(by_user=False)
            await before_stop(self._world, container, container.definition.supervision.stop_grace)
            await self._signal(container, signal_number(container.definition.supervision.stop_signal))
            if not await self._gone(container, container.definition.supervision.stop_grace):
                await self._kill(container)

    async def kill(self, container: Container, signal_name: str) -> None:
        """Any signal at once. SIGKILL counts as a stop by the user, as in docker kill."""
        number = signal_number(signal_name)
        if not container.alive:
            raise ContainerFault(f"cannot kill container {container.name}: it is not running")
        if number == signal.SIGKILL:
            async with container.lock:
                if container.alive:
                    container.stopping()
                    await self._kill(container)
            return
        await self._signal(container, number)

    async def _kill(self, container: Container) -> None:
        await self._signal(container, signal.SIGKILL)
        if not await self._gone(container, KILL_PATIENCE):
            raise ContainerFault(
                f"cannot kill container {container.name}: process {container.state.pid} does not go away",
                hint="it may hang in the kernel, e.g. on a dead network file system",
            )

    async def _signal(self, container: Container, number: int) -> None:
        await self._world.launcher.signal(container.id, number)

    async def _gone(self, container: Container, timeout: float | None) -> bool:
        changes = self._world.changes[container.service]
        return await changes.until(lambda: not container.alive, timeout=timeout)

    async def remove(self, container: Container, *, volumes: bool = False) -> None:
        """Removes a container and everything that only it used. It is stopped first where it still runs."""
        for step in self._world.steps_of(container):
            await self.remove(step, volumes=True)
        await self.stop(container, 0 if container.alive else None)
        async with container.lock:
            container.removing()
            await to_the_end(self._cleanup(container, volumes=volumes))

    async def _cleanup(self, container: Container, *, volumes: bool) -> None:
        world = self._world
        await done(container.tidying)
        for writer in container.writers:
            writer.close()
        container.writers.clear()
        await world.desk.release(container)
        paths = world.container_paths(container.id)
        await asyncio.to_thread(_remove_files, [paths.run, paths.state])
        remove_cgroups(container.definition.cgroup)
        if volumes:
            parent = world.containers.get(container.definition.parent)
            shared = parent.definition.anonymous_volumes if parent else ()
            for name in set(container.definition.anonymous_volumes).difference(shared):
                await asyncio.to_thread(world.volumes.remove, name)
        world.containers.pop(container.id, None)
        container.removed()

    def vanished(self, container: Container) -> None:
        """A container that is recorded as alive but is not there, and whose exit nobody saw."""
        self._settle_exit(container, None, oom_killed=False, at_ns=now_ns())


def signal_number(name: str) -> int:
    """``SIGTERM``, ``TERM``, ``15`` or ``SIGRTMIN+3``. Raises ContainerFault for anything else."""
    text = name.upper().removeprefix("SIG")
    if text.isdigit() and 0 < int(text) <= signal.SIGRTMAX:
        return int(text)
    base, plus, offset = text.partition("+")
    if plus and base == "RTMIN" and offset.isdigit():
        return signal.SIGRTMIN + int(offset)
    found = getattr(signal, f"SIG{text}", None)
    if isinstance(found, signal.Signals):
        return int(found)
    raise ContainerFault(f"cannot send signal {name}: there is no such signal")


def _remove_files(paths: Sequence[os.PathLike[str]]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=False, onerror=_ignore_missing)


def _ignore_missing(_function: object, _path: object, info: tuple[object, BaseException, object]) -> None:
    if not isinstance(info[1], FileNotFoundError):
        raise info[1]
