"""Changes a container in place: its limits, ports, names, networks, and the rules by which it is watched.

That it is begun is recorded first, and what the container is from then on last, in one step. All in between may be done
again: whoever is killed leaves an update that the next ``up`` makes once more.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from stackup.base.errors import ContainerFault
from stackup.base.files import write_atomic
from stackup.engine.container import Container
from stackup.engine.damage import TEMPLATE
from stackup.engine.records import Definition
from stackup.engine.runner import Runner
from stackup.engine.world import World
from stackup.model.stack import Service
from stackup.oci.codec import encode
from stackup.runtime.bundle import CONFIG
from stackup.runtime.relimiting import change_limits
from stackup.spec import render_limits

LIMITS = ("memory", "cpu", "pids")


async def update(world: World, runner: Runner, container: Container, service: Service, wanted: Definition) -> None:
    """Makes ``container`` what ``wanted`` says. Raises StackupError; the container runs on as it is then, or as far
    as it was changed, and ``up`` tries again."""
    async with container.lock:
        old, alive = container.definition, container.alive
        container.updating()
        try:
            await asyncio.to_thread(_limit, world, container, encode(render_limits(service)), alive)
        except ContainerFault as error:
            error.message = f"cannot update container {container.name}: {error.message.removeprefix('cannot ')}"
            raise
        changes: dict[str, Any] = {}
        if alive:
            changes["host_ports"] = await world.desk.ports.take(container, wanted.ports)
            changes["attachments"] = world.desk.renamed(container, wanted)
            changes |= _health(old, wanted, container.state.health)
        container.updated(wanted, **changes)
        if alive:
            await world.desk.ports.settle(container)
            await world.desk.rename(container)
        if old.supervision != wanted.supervision:
            runner.watch_again(container)
        if container.waits_for_its_time and old.supervision.schedule != wanted.supervision.schedule:
            runner.schedule(container)


def _health(old: Definition, wanted: Definition, health: str) -> dict[str, str]:
    """Another health check begins where the one before stood; the first one at the beginning."""
    if wanted.supervision.health == old.supervision.health:
        return {}
    if wanted.supervision.health is None:
        return {"health": "none", "health_output": ""}
    return {"health": "starting" if health == "none" else health}


def _limit(world: World, container: Container, limits: dict[str, Any], alive: bool) -> None:
    """In the bundle, for the next start, and in the control groups of what runs."""
    bundle = world.container_paths(container.id).state
    for name in (TEMPLATE, CONFIG):
        path = f"{bundle}/{name}"
        if os.path.exists(path):
            with open(path, "rb") as file:
                config = json.load(file)
            resources = config["linux"].get("resources") or {}
            config["linux"]["resources"] = {key: item for key, item in resources.items() if key not in LIMITS} | limits
            write_atomic(path, json.dumps(config, separators=(",", ":")), mode=0o600)
    if alive:
        change_limits(container.definition.cgroup, limits)
