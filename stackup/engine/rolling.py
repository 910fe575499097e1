"""Rolling updates: watching a batch of new containers, and the configuration that a service had before.

The previous configuration is recorded when the first container of a service is replaced (or changed in place) by one of
another configuration; rolling back records the one that is left, so that a second rollback leads forward again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stackup.base.errors import ContainerFault, PlanRefused
from stackup.engine.conditions import condition_state, wait_until
from stackup.engine.container import Container
from stackup.engine.lastwords import last_words
from stackup.engine.records import Definition
from stackup.engine.runner import Runner
from stackup.engine.wishes import desired_of
from stackup.engine.world import World
from stackup.model.plan import Watch
from stackup.model.stack import Deploy, Service, Stack
from stackup.planner import Desired, Verb

READY = "running_or_healthy"
KEPT_DEPLOY = ("replicas", "update_config", "rollback_config")  # how many and how stays the stack file's business


class Batches:
    """Watches batches of one plan, and counts what has failed, by service."""

    def __init__(self, world: World, runner: Runner, tell: Callable[[str], None], did: Callable[[str], None]) -> None:
        """``did`` is told what is taken away without having been planned."""
        self._world = world
        self._runner = runner
        self._tell = tell
        self._did = did
        self._failed: dict[str, set[str]] = {}

    async def watch(self, action: Watch, containers: Sequence[Container]) -> None:
        """Raises ContainerFault as soon as more have failed than may."""
        await self._look_on(action, containers)
        for container in containers:
            if container.id in self._world.containers:
                container.proved()

    async def _look_on(self, action: Watch, containers: Sequence[Container]) -> None:
        failed = self._failed.setdefault(action.service, set())
        deadline: float | None = None
        while True:
            good = [item for item in containers if item.name not in failed]
            problem = await self._until_ready(good, action)
            if not problem:
                deadline = deadline or time.monotonic() + action.seconds
                left = max(0.0, deadline - time.monotonic())
                if not await self._world.changes[action.service].until(lambda: not _ready(good), timeout=left):  # noqa: B023
                    return
                _, problem = condition_state(good, READY)
                if not problem:  # it is starting again, say
                    continue
            await self._note(action, good, problem)

    async def _until_ready(self, good: list[Container], action: Watch) -> str:
        if not good:
            return ""
        return await wait_until(lambda: good, READY, self._world.changes[action.service], timeout=None)

    async def _note(self, action: Watch, good: list[Container], problem: str) -> None:
        failed = self._failed[action.service]
        bad = [item for item in good if condition_state([item], READY)[1]]
        failed.update(item.name for item in bad)
        said = await last_words(self._world, bad)  # before it is taken away
        if action.withdraw:
            for item in bad:
                await self._runner.remove(item, volumes=not item.definition.inherits)
                self._did(f"remove container {item.name}")
        if 0 <= action.tolerated < len(failed):
            raise ContainerFault(f"cannot update service {action.service}: {problem}", hint=said)
        self._tell(f"service {action.service}: {problem}; the update goes on")


def _ready(containers: list[Container]) -> bool:
    return not containers or condition_state(containers, READY)[0]


def remember(world: World, old: Definition, new: Definition) -> None:
    """``old`` is replaced by, or becomes, ``new``."""
    if (old.config_hash, old.image_id) != (new.config_hash, new.image_id):
        data = {"config": old.config, "image": old.image, "image_id": old.image_id, "hash": old.config_hash}
        world.records.set_meta(f"previous {old.service}", json.dumps(data))


def desired_back(
    stack: Stack,
    args: Mapping[str, Any],
    *,
    meta: Callable[[str], str | None],
    image_id: Callable[[str], str | None],
    numbers: Iterable[tuple[str, int]],
) -> Desired:
    """The wish for services as they were before, as many as there are. ``meta`` reads the records, ``numbers`` are
    service and number of each container. Raises PlanRefused where nobody knows how a service was."""
    names = tuple(args.get("services") or ())
    there = set(numbers)
    scale = {name: sum(service == name for service, _ in there) for name in names}
    desired = desired_of(Verb.UP, _with_previous(stack, names, meta, image_id), args)
    return replace(desired, rollback=True, no_deps=True, images_settled=True, scale=scale)


def _with_previous(
    stack: Stack,
    names: Sequence[str],
    meta: Callable[[str], str | None],
    image_id: Callable[[str], str | None],
) -> Stack:
    services = dict(stack.services)
    for name in names:
        text = meta(f"previous {name}")
        if text is None or name not in services:
            raise PlanRefused(
                f"cannot roll back service {name}: no configuration before the present one is known",
                hint="it is known once an up has changed the service",
            )
        services[name] = _previous(services[name], json.loads(text), image_id)
    return stack.model_copy(update={"services": services})


def _previous(now: Service, data: dict[str, Any], image_id: Callable[[str], str | None]) -> Service:
    """The image by its name where that still leads to the same one, else by its id."""
    config = {key: item for key, item in data["config"].items() if key != "files"}
    before = Service.model_validate({"name": now.name, **config})
    same = image_id(data["image"]) == data["image_id"]
    kept = now.deploy or Deploy()
    deploy = (before.deploy or Deploy()).model_copy(update={key: getattr(kept, key) for key in KEPT_DEPLOY})
    image = before.image if same else data["image_id"]
    return before.model_copy(update={"image": image, "scale": now.scale, "deploy": deploy})
