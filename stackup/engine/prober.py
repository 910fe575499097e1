"""Runs a container's health checks and feeds their results to the rules in ``health``."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from stackup.base.errors import StackupError
from stackup.engine.container import Container
from stackup.engine.health import OUTPUT_LIMIT, after_probe, first_state, is_early, resumed_state
from stackup.engine.oneshot import run_inside
from stackup.engine.supervision import HealthCheck
from stackup.engine.tasks import spawn
from stackup.engine.world import World
from stackup.runtime.client import LauncherLost

if TYPE_CHECKING:
    from stackup.engine.runner import Runner


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
        await asyncio.sleep(max(0.0, state.next_probe - container.age))
        early = is_early(state, container.age)
        ok, output = await (outside.look(check.timeout) if outside else probe(world, container, check))
        if not container.alive:
            return
        if ok:
            well_since = container.age if well_since is None else well_since
            container.well_for = container.age - well_since
        state = after_probe(check, state, ok=ok, age=container.age, early=early)
        if ok or not early or container.age > EARLY_SILENCE:
            container.health_changed(state.status, output)
        if ok and outside and outside.lasting:
            return
        if state.status == "unhealthy" and container.definition.supervision.restart_unhealthy:
            # a task of its own: this one is cancelled as soon as the container has ended
            spawn(runner.renew(container))
            return


async def probe(world: World, container: Container, check: HealthCheck) -> tuple[bool, str]:
    """One probe: whether it succeeded, and the first 4096 bytes of its output."""
    try:
        status, output = await run_inside(world, container, check.command, timeout=check.timeout, limit=OUTPUT_LIMIT)
    except LauncherLost:
        await asyncio.Event().wait()  # says nothing about the container; this supervisor is about to end
        raise
    except TimeoutError:
        return False, f"health check exceeded its timeout ({check.timeout:g}s)"
    except (StackupError, OSError) as error:
        return False, str(error)
    return status == os.EX_OK, output
