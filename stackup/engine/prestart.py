"""``pre_start``: commands that are run to their end, each in a container of its own, before a container starts first.

The containers are made together with the one that they prepare, so that a later start needs no stack file; each is
removed when it has ended with success, which is recorded with the prepared container. A step that was done is not run
again as long as that container exists.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from stackup.base.errors import ContainerFault, StackupError
from stackup.engine.container import Container, exit_text
from stackup.engine.lastwords import last_lines
from stackup.engine.signals import Turn
from stackup.engine.tasks import spawn
from stackup.engine.world import World
from stackup.model.build import Hook
from stackup.model.observed import Phase
from stackup.model.service import Service

if TYPE_CHECKING:
    from stackup.engine.runner import Runner

LAST_LINES = 10  # of a failed step's output that its error quotes


def step_service(service: Service, hook: Hook, image: str) -> Service:
    """``service`` as one step needs it: its networks, volumes and limits, but no place of its own in the world.

    An image of its own brings its own command, user and directory. ``image``: that of the service.
    """
    own_image = hook.image not in (None, image)
    update = {
        "image": hook.image or image,
        "build": None,
        "command": hook.command,
        "entrypoint": () if hook.command else None if own_image else service.entrypoint,
        "user": hook.user or (None if own_image else service.user),
        "working_dir": hook.working_dir or (None if own_image else service.working_dir),
        "privileged": hook.privileged or service.privileged,
        "environment": {**service.environment, **hook.environment},
        "networks": dict.fromkeys(service.networks),
        "mac_address": None,
        "ports": (),
        "container_name": None,
        "restart": None,
        "deploy": service.deploy.model_copy(update={"restart_policy": None}) if service.deploy else None,
        "healthcheck": service.healthcheck.model_copy(update={"disable": True}) if service.healthcheck else None,
        "stdin_open": False,
        "tty": False,
        "pre_start": (),
        "post_start": (),
        "pre_stop": (),
        "stackup": type(service.stackup)(),
    }
    return service.model_copy(update=update)


async def prepare(world: World, runner: Runner, container: Container) -> None:
    """Runs the steps that are left. Raises ContainerFault for the first that fails; it is kept, to be looked at."""
    for step in world.steps_of(container):
        number = step.definition.step
        if number >= container.state.prepared:
            if step.definition.per_replica:
                await _run(world, runner, step, container)
            else:
                await _run_once(world, runner, step, container)
            container.step_done(number)
        await runner.remove(step, volumes=True)


async def _run_once(world: World, runner: Runner, step: Container, container: Container) -> None:
    """The first container of the service to come here does it for all that are alike."""
    number = step.definition.step
    turn = world.preparing.setdefault((container.service, container.definition.config_hash, number), Turn())
    before = turn.failures
    async with turn.lock:
        alike = [item for item in world.of_service(container.service) if item.id != container.id]
        if any(_is_prepared(item, container, number) for item in alike):
            return
        if turn.failures != before:
            raise ContainerFault(f"cannot start container {container.name}: {_title(step)} has failed for another one")
        try:
            await _run(world, runner, step, container)
        except StackupError:
            turn.failures += 1
            raise
        container.step_done(number)


def _is_prepared(other: Container, container: Container, step: int) -> bool:
    return other.definition.config_hash == container.definition.config_hash and other.state.prepared > step


async def _run(world: World, runner: Runner, step: Container, container: Container) -> None:
    if step.state.incarnation:  # a second try begins where the first one began
        await asyncio.to_thread(_empty_layers, step)
    try:
        await runner.start(step)
        await world.changes[step.service].until(lambda: step.phase is Phase.EXITED)
    except StackupError as error:
        reason = error.message.removeprefix(f"cannot start container {step.name}: ")
        error.message = f"cannot start container {container.name}: cannot run {_title(step)}: {reason}"
        raise
    except asyncio.CancelledError:
        if not world.leaving:
            spawn(runner.stop(step, 0))
        raise
    if step.state.exit_code != 0:
        raise ContainerFault(
            f"cannot start container {container.name}: {_title(step)} {exit_text(step.state)}",
            hint=await asyncio.to_thread(_last_words, world, step),
        )


def _title(step: Container) -> str:
    return f"its pre_start command {step.definition.step + 1}"


def _empty_layers(step: Container) -> None:
    for overlay in step.definition.overlays:
        for directory in (overlay["upper"], overlay["work"]):
            if directory:
                shutil.rmtree(directory, ignore_errors=True)


def _last_words(world: World, step: Container) -> str:
    lines = [line.text for line in last_lines(world, [step], LAST_LINES)]
    return "its last output:\n" + "\n".join(lines) if lines else ""


async def end_steps(world: World, runner: Runner) -> None:
    """A predecessor died while a step was under way: nobody waits for it any more, and whoever starts the container
    again runs it anew."""
    for step in [item for item in world.containers.values() if item.definition.parent]:
        parent = world.containers.get(step.definition.parent)
        if parent is None or step.definition.step < parent.state.prepared:
            await runner.remove(step, volumes=True)
        elif step.alive:
            await runner.stop(step, 0)
