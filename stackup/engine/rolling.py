"""Rolling updates: watching a batch of new containers, and the configuration that a service had before.

The previous configuration is recorded when the first container of a service is replaced (or changed in place) by one of
another configuration; rolling back records the one that is left, so that a second rollback leads forward again. Where
an update has failed and was taken back by itself, all is as it was before it: the way back leads to the one before
that, which is recorded, too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
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
    """``old`` is replaced by, or becomes, ``new``. Once for all containers of a service; the one before is kept, for an
    update that is taken back."""
    records, key = world.records, f"previous {old.service}"
    if _mark_of(old) == _mark_of(new):
        return
    known = records.meta(key)
    if known and _mark(json.loads(known)) == _mark_of(old):
        return
    data = {"config": old.config, "image": old.image, "image_id": old.image_id, "hash": old.config_hash}
    if known:
        records.set_meta(f"earlier {old.service}", known)
    records.set_meta(key, json.dumps(data))


def _mark_of(definition: Definition) -> tuple[str, str]:
    return definition.config_hash, definition.image_id


def _mark(data: Mapping[str, Any]) -> tuple[str, str]:
    return data["hash"], data["image_id"]


def desired_back(
    stack: Stack,
    args: Mapping[str, Any],
    *,
    meta: Callable[[str], str | None],
    image_id: Callable[[str], str | None],
    present: Sequence[Definition],
    automatic: bool = False,
) -> Desired:
    """The wish for services as they were before, as many as there are. ``meta`` reads the records, ``present`` are the
    containers that there are. ``automatic``: an update has failed; what was before it is what some of them, or all, may
    be still. Raises PlanRefused where nobody knows how a service was."""
    names = tuple(args.get("services") or ())
    there = {name: [item for item in present if item.service == name] for name in names}
    services = dict(stack.services)
    for name in names:
        marks = set() if automatic else {_mark_of(item) for item in there[name]}
        before = _before(name, meta, marks) if name in services else None
        if before is None:
            raise PlanRefused(
                f"cannot roll back service {name}: no configuration before the present one is known",
                hint="it is known once an up has changed the service",
            )
        services[name] = _previous(services[name], before, image_id)
    desired = desired_of(Verb.UP, stack.model_copy(update={"services": services}), args)
    scale = {name: len({item.number for item in there[name]}) for name in names}
    return replace(desired, rollback=True, automatic=automatic, no_deps=True, images_settled=True, scale=scale)


def _before(
    name: str, meta: Callable[[str], str | None], present: Collection[tuple[str, str]]
) -> Mapping[str, Any] | None:
    """The configuration before the last change; before the one before it, where that has been taken back: all
    containers are (``present``) what they were before it."""
    known = [json.loads(text) for text in (meta(f"{which} {name}") for which in ("previous", "earlier")) if text]
    if known and set(present) == {_mark(known[0])}:
        known = known[1:]
    return known[0] if known else None


def _previous(now: Service, data: Mapping[str, Any], image_id: Callable[[str], str | None]) -> Service:
    """The image by its name where that still leads to the same one, else by its id."""
    config = {key: item for key, item in data["config"].items() if key != "files"}
    before = Service.model_validate({"name": now.name, **config})
    same = image_id(data["image"]) == data["image_id"]
    kept = now.deploy or Deploy()
    deploy = (before.deploy or Deploy()).model_copy(update={key: getattr(kept, key) for key in KEPT_DEPLOY})
    image = before.image if same else data["image_id"]
    return before.model_copy(update={"image": image, "scale": now.scale, "deploy": deploy})
