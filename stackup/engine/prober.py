"""Runs a container's health checks and feeds their results to the rules in ``health``."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from stackup.base.clock import now_ns
from stackup.base.errors import StackupError
from stackup.engine.container import Container
from stackup.engine.health import OUTPUT_LIMIT, after_probe, first_state, is_early, resumed_state
from stackup.engine.oneshot import KILLED_PATIENCE, Output, check_runs, current_spec
from stackup.engine.supervision import HealthCheck
from stackup.engine.tasks import spawn
from stackup.engine.world import World
from stackup.runtime.client import Exit, LauncherLost
from stackup.spec import render_exec

if TYPE_CHECKING:
    from stackup.engine.runner import Runner


STEPS = 20  # into which the interval between two probes is divided ...
LONGEST_STEP = 0.5  # ... seconds each at most, and a probe may come one of them later
QUICK = 0.5  # seconds after which a probe is no longer a quick one
NO_CODE = -1  # of a probe that did not come to an end of its own, as in Docker
EARLY_SILENCE = 1.0  # seconds in which a service that is not ready yet is nothing to write down


async def watch_health(world: World, runner: Runner, container: Container) -> None:
    """Probes until cancelled (when the container ends). Early probes fail silently; see ``health``."""
    check = container.definition.supervision.health
    assert check is not None
    known = container.state.health
    state = (
        first_state(check) if known == "starting" and container.age < 1 else resumed_state(check, known, container.age)
    )
    outside = None
    if check.outside:
        from stackup.engine.readiness import Readiness

        outside = Readiness(world, container, check.outside)
        if outside.lasting and known == "healthy":
            return
    well_since: float | None = None
    while True:
        await _until_due(state.next_probe - container.age, check.interval if state.next_early is None else 0.0)
        early = is_early(state, container.age)
        begin_ns = now_ns()
        if outside:
            ok, output = await outside.look(check.timeout)
            code = os.EX_OK if ok else NO_CODE
        else:
            code, output = await probe(world, container, check)
            ok = code == os.EX_OK
        if not container.alive:
            return
        if ok:
            well_since = container.age if well_since is None else well_since
            container.well_for = container.age - well_since
        state = after_probe(check, state, ok=ok, age=container.age, early=early)
        if ok or not early or container.age > EARLY_SILENCE:
            container.probed(begin_ns=begin_ns, code=code, output=output, failing=state.failures)
            container.health_changed(state.status, output, code)
        if ok and outside and outside.lasting:
            return
        if state.status == "unhealthy" and container.definition.supervision.restart_unhealthy:
            # a task of its own: this one is cancelled as soon as the container has ended
            spawn(runner.renew(container))
            return


async def _until_due(seconds: float, interval: float) -> None:
    """A little longer, up to the next of the instants at which others are due, too: one that wakes for many is far
    cheaper than many that wake for one. ``interval`` 0: nobody is waited for."""
    loop = asyncio.get_running_loop()
    due = loop.time() + max(0.0, seconds)
    step = min(LONGEST_STEP, interval / STEPS)
    if step:
        due = math.ceil(due / step) * step
    waiting = loop.create_future()
    timer = loop.call_at(due, waiting.set_result, None)
    try:
        await waiting
    finally:
        timer.cancel()


async def probe(world: World, container: Container, check: HealthCheck) -> tuple[int, str]:
    """One probe: its exit code, and the first 4096 bytes of its output."""
    try:
        status, output = await _Probe(world, container, check).run()
    except LauncherLost:
        await asyncio.Event().wait()  # says nothing about the container; this supervisor is about to end
        raise
    except TimeoutError:
        return NO_CODE, f"health check exceeded its timeout ({check.timeout:g}s)"
    except (StackupError, OSError) as error:
        return NO_CODE, str(error)
    return status, output


class _Probe:
    """A command that runs inside a container for a moment. As little as possible is done for it: with many services,
    probes are all that a supervisor does all day."""

    def __init__(self, world: World, container: Container, check: HealthCheck) -> None:
        check_runs(container)
        self._launcher = world.launcher
        self._timeout = check.timeout
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[Exit | StackupError] = self._loop.create_future()
        self._over = False
        request = _request(world, container, check.command)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        self._output = Output(reading, OUTPUT_LIMIT)
        try:
            os.set_blocking(reading, False)
            self._id = world.launcher.exec_quietly(request, (null(), writing, writing), self._ended)
        except BaseException:
            self._output.close()
            raise
        finally:
            os.close(writing)
        self._patience = self._loop.call_later(min(self._timeout, QUICK), self._is_slow)

    async def run(self) -> tuple[int, str]:
        """Exit code and output. Raises ContainerFault, LauncherLost, and TimeoutError once it has been killed."""
        try:
            end = await self._end
        except (TimeoutError, asyncio.CancelledError):
            await self._kill()
            raise
        finally:
            self._patience.cancel()
            self._output.close()
        if isinstance(end, StackupError):
            raise end
        return (1 if end.status is None else end.status), self._output.text

    def _ended(self, end: Exit | StackupError) -> None:
        self._over = True
        if not self._end.done():
            self._end.set_result(end)

    def _is_slow(self) -> None:
        """Most have ended before this, and what they write fits into a pipe: nobody has to look at it meanwhile."""
        if self._end.done():
            return
        if self._timeout <= QUICK:
            self._expire()
        else:
            self._output.watch()
            self._patience = self._loop.call_later(self._timeout - QUICK, self._expire)

    def _expire(self) -> None:
        if not self._end.done():
            self._end.set_exception(TimeoutError())

    async def _kill(self) -> None:
        """Waits for its end, so that no two probes of a container run at a time."""
        if self._over:
            return
        self._end = self._loop.create_future()
        with suppress(StackupError):
            await self._launcher.signal(self._id, signal.SIGKILL)
        await asyncio.wait([self._end], timeout=KILLED_PATIENCE)


def _request(world: World, container: Container, command: tuple[str, ...]) -> bytes:
    """Kept: it is the same again and again."""
    spec = current_spec(world, container)
    kept = container.probe
    if kept is None or kept[0] is not spec or kept[1] != command:
        request = world.launcher.prepare_exec(
            container.id, render_exec(spec, command), container.definition.seccomp_filter
        )
        kept = container.probe = (spec, command, request)
    return kept[2]


@cache
def null() -> int:
    """A descriptor of /dev/null for good."""
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
