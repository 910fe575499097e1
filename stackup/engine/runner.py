"""Effects on one container: start, and what follows when its process ends; ``stopping`` and ``removing`` have the rest.

Each effect is recorded as an intent before it happens and settled after it, so that whoever comes after a kill -9 can
tell what was under way.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from stackup.base.clock import now_ns
from stackup.base.errors import ContainerFault, StackupError
from stackup.engine.bundles import write_incarnation
from stackup.engine.container import Container, exit_text
from stackup.engine.endings import exit_on_disk
from stackup.engine.hooks import after_start, resume_after_start
from stackup.engine.lastwords import last_lines
from stackup.engine.logreader import STREAMS
from stackup.engine.outputs import keeps_output, open_writer
from stackup.engine.prestart import prepare
from stackup.engine.prober import watch_health
from stackup.engine.removing import Remover
from stackup.engine.supervision import (
    CRASH_LOOP,
    UNHEALTHY,
    RestartDecision,
    RestartState,
    Schedule,
    crash_text,
    decide_restart,
    restart_at_once,
    restart_sick,
    sick_text,
)
from stackup.engine.tasks import done, spawn, to_the_end
from stackup.model.observed import Phase
from stackup.runtime.client import Exit, LauncherLost, Running

LONGEST_SLEEP = 60.0  # seconds until a schedule looks at the wall clock again, which may have been set
COMMAND_NOT_FOUND = 127
CANNOT_EXECUTE = 126


class Runner(Remover):
    """Carries out what somebody decided about single containers."""

    async def start(self, container: Container, *, only: Phase | None = None, now: bool = False) -> None:
        """Starts a container that is not running. Raises ContainerFault; the container is then EXITED.

        ``only``: do nothing unless the container is in this phase when its turn comes. ``now``: whatever its schedule
        says.
        """
        async with container.lock:
            if container.alive or container.phase is Phase.REMOVING or (only and container.phase is not only):
                return
            await done(container.tidying)
            scheduled = container.definition.supervision.schedule is not None
            if scheduled and only is None and not now:
                self.schedule(container)
                return
            again = only is Phase.RESTARTING or scheduled
            try:
                await prepare(self._world, self, container)
            except ContainerFault as error:
                if again:
                    await self._undo_start(container, error, again=True)
                raise
            async with self._world.starts:
                await to_the_end(self._start(container, again=again))
        await after_start(self._world, container)

    def schedule(self, container: Container) -> None:
        """Instead of a start: a scheduled service runs when it is due. Also when it waits for a time that was another
        schedule's."""
        from stackup.engine.schedule import next_due

        schedule = container.definition.supervision.schedule
        assert schedule is not None
        due_ns = next_due(schedule, now_ns())
        if not due_ns:
            raise ContainerFault(f"cannot start container {container.name}: its schedule {schedule.cron} has no time")
        container.scheduled(due_ns)
        if container.aftermath and not container.aftermath.done():
            return  # it waits already, and looks at the time anew
        container.aftermath = spawn(self.restart_when_due(container))

    async def _start(self, container: Container, *, again: bool) -> None:
        """Never cancelled but by the end of this process: then, or when the launcher is lost, the record says what may
        have happened, and a successor finds out."""
        world = self._world
        try:
            ports = await world.desk.ports.reserve(container.definition)
            attachments = world.desk.attach(container, container.state.incarnation + 1)
            write_incarnation(world, container, container.state.incarnation + 1)
            container.starting(ports, attachments)
            container.began_ns = now_ns()
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
            await world.desk.ports.publish(container)
        finally:
            self._watch(container)
            if container.early_exit is not None:
                early, container.early_exit = container.early_exit, None
                self.exited(early)

    def _open_output(self, container: Container) -> None:
        if not keeps_output(container.definition):
            return
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
            container.writers.append(open_writer(self._world, container, stream))

    def _open_console(self, container: Container, console: int) -> None:
        container.writers.append(open_writer(self._world, container, "stdout", source=console))

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

    def _watch(self, container: Container, *, adopted: bool = False) -> None:
        if self._world.guard:
            self._world.guard.watch(container, adopted=adopted)
        supervision = container.definition.supervision
        if supervision.health and container.phase is not Phase.PAUSED:
            container.watching = spawn(watch_health(self._world, self, container))
        if supervision.schedule and supervision.schedule.overlap == "kill":
            container.overlap = spawn(self._end_when_due(container, supervision.schedule))

    async def _end_when_due(self, container: Container, schedule: Schedule) -> None:
        """A run that is not over when the next one is due makes way for it."""
        from stackup.engine.schedule import next_due

        due_ns = next_due(schedule, now_ns(), anchor_ns=container.state.due_ns)
        while due_ns and (left := (due_ns - now_ns()) / 1e9) > 0:
            await asyncio.sleep(min(left, LONGEST_SLEEP))
        if due_ns:
            self._world.tell(f"{container.name}: its last run is ended, since the next one is due")
            spawn(self.renew(container))

    def watch_again(self, container: Container) -> None:
        """By the rules of its definition, which have changed."""
        if container.watching:
            container.watching.cancel()
            container.watching = None
        if container.overlap:
            container.overlap.cancel()
            container.overlap = None
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
        self._watch(container, adopted=True)
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
        if container.overlap:
            container.overlap.cancel()
            container.overlap = None
        if self._world.guard:
            self._world.guard.unwatch(container)
        ran_for = container.age
        self._close_output(container)
        if container.pidfd >= 0:
            os.close(container.pidfd)
            container.pidfd = -1
        by_user = container.phase is Phase.STOPPING and state.stopped_by_user
        probe = state.health_output
        decision = self._decide(container, status, ran_for=ran_for, by_user=by_user)
        container.ended(exit_code=status, oom_killed=oom_killed, at_ns=at_ns, decision=decision, by_user=by_user)
        container.tidying = spawn(self._tidy(container))
        how = sick_text(probe) if decision.reason == UNHEALTHY else exit_text(container.state)
        container.aftermath = spawn(self._after_exit(container, decision, how))

    def _decide(self, container: Container, status: int | None, *, ran_for: float, by_user: bool) -> RestartDecision:
        state = container.state
        supervision = container.definition.supervision
        before = RestartState(state.attempts, state.restart_delay)
        if container.phase is Phase.STOPPING and not by_user:
            if state.health == UNHEALTHY and supervision.restart_unhealthy:
                return restart_sick(supervision.restart, before, well_for=container.well_for)
            return restart_at_once(before)
        if supervision.schedule and not by_user:
            from stackup.engine.schedule import after_run

            return after_run(
                supervision.schedule,
                supervision.restart,
                before,
                exit_code=status,
                ran_for=ran_for,
                due_ns=state.due_ns,
                now_ns=now_ns(),
            )
        return decide_restart(supervision.restart, before, exit_code=status, ran_for=ran_for, stopped_by_user=by_user)

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

    async def _after_exit(self, container: Container, decision: RestartDecision, how: str) -> None:
        await done(container.tidying)
        crashes = decision.state.attempts >= CRASH_LOOP or (decision.state.attempts and not decision.restart)
        began_ns = container.began_ns
        if crashes and (decision.delay or not decision.restart):
            spawn(self._tell_crashes(container, decision, how, began_ns))
            crashes = False
        await self.restart_when_due(container)
        if crashes:
            spawn(self._tell_crashes(container, decision, how, began_ns))

    async def _tell_crashes(self, container: Container, decision: RestartDecision, ended: str, began_ns: int) -> None:
        """Said once; ``ps`` shows it as long as it lasts. Nobody waits for it: a restart that is due at once comes
        first. What it printed before ``began_ns``, in earlier lives, explains nothing."""
        lines = await asyncio.to_thread(last_lines, self._world, [container], 1, since_ns=began_ns)
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
        due_ns = 0

        def changed() -> bool:
            return container.phase is not Phase.RESTARTING or container.state.restart_at_ns != due_ns

        while container.phase is Phase.RESTARTING:
            # The wall clock may have been set: the delay that was decided is the longest that is waited.
            left = (container.state.restart_at_ns - now_ns()) / 1e9
            scheduled = container.waits_for_its_time
            delay = min(max(0.0, left), LONGEST_SLEEP if scheduled else container.state.restart_delay)
            due_ns = container.state.restart_at_ns
            if await changes.until(changed, timeout=delay):
                continue
            if scheduled and container.state.restart_at_ns > now_ns():
                continue
            try:
                await self.start(container, only=Phase.RESTARTING)
            except LauncherLost:
                return
            except StackupError as error:
                self._world.tell(f"{container.name}: {error.message}")

    def vanished(self, container: Container) -> None:
        """A container that is recorded as alive but is not there, and whose exit nobody saw."""
        self._settle_exit(container, None, oom_killed=False, at_ns=now_ns())

    def ended_unheard(self, container: Container) -> None:
        """Its status is on disk where a launcher saw it, else nobody knows it."""
        known = exit_on_disk(self._world, container)
        if known is None:
            self.vanished(container)
        else:
            self.exited(known)
