"""What each action of a plan does to the world. One action, one effect; no policy: the planner had that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from stackup.base.errors import Bug, ContainerFault, StackupError
from stackup.engine.apply import Emit
from stackup.engine.blame import culprits, killed_by_limit
from stackup.engine.conditions import failing, wait_until
from stackup.engine.container import Container
from stackup.engine.creator import Creator
from stackup.engine.images_desk import build_service, pull_image
from stackup.engine.lastwords import last_words
from stackup.engine.loading import LoadedStack
from stackup.engine.observe import service_image
from stackup.engine.records import Definition
from stackup.engine.runner import Runner
from stackup.engine.withdrawal import stands_beside, superseded_text, withdrawn_text
from stackup.engine.world import World
from stackup.model.observed import Phase
from stackup.model.plan import (
    Action,
    BuildImage,
    ContainerAction,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    KillContainer,
    Pause,
    PauseContainer,
    PullImage,
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    UpdateContainer,
    WaitFor,
    Watch,
)
from stackup.model.stack import Stack

if TYPE_CHECKING:
    from stackup.engine.rolling import Batches


class StackEffects:
    """Carries out one plan for one stack. ``stack`` is None for verbs that only touch what exists.

    ``loaded`` is what the stack was read from: errors point into it. ``remembers``: what is replaced is what a later
    rollback leads to.
    """

    def __init__(
        self,
        world: World,
        runner: Runner,
        stack: Stack | None,
        emit: Emit,
        loaded: LoadedStack | None,
        *,
        remembers: bool = True,
    ) -> None:
        self._world = world
        self._runner = runner
        self._stack = stack
        self._emit = emit
        self._loaded = loaded
        self._remembers = remembers
        self._environment: Mapping[str, str] = loaded.environment if loaded else {}
        self._creator = Creator(world, self._environment)
        self._batches: Batches | None = None
        self._created: dict[str, Container] = {}  # containers that this plan made, by name
        self._replaced: dict[str, str] = {}  # id of such a container -> id of the one whose place it takes
        self._networks: dict[str, str] = {}  # networks that it made: key -> name
        self._first = not world.containers  # the project had nothing before

    async def perform(self, action: Action) -> None:
        try:
            await self._perform(action)
        except StackupError as error:
            if self._stack is not None and self._loaded is not None and not isinstance(error, Bug):
                self._point(error, action, self._stack, self._loaded)
            raise

    def _point(self, error: StackupError, action: Action, stack: Stack, loaded: LoadedStack) -> None:
        """To the line of what is at fault, where one value is."""
        service = stack.services.get(getattr(action, "service", ""))
        if error.where is not None:
            loaded.point_inline(error, service.name if service else "")
            return
        image = self._world.image(service_image(stack, service.name)) if service else None
        paths = culprits(error, action, stack, image.config if image else None)
        if paths:
            loaded.point(error, *paths)
        if service is not None and killed_by_limit(error, service):
            error.message = f"cannot {action.describe()}: its memory limit is too low for it"

    async def _perform(self, action: Action) -> None:
        match action:
            case BuildImage():
                await build_service(
                    self._world, self.stack, action.service, self._environment, self._emit, action.id, self._loaded
                )
            case PullImage():
                await pull_image(self._world, action, self._environment, self._emit)
            case CreateNetwork():
                await self._create_network(action)
            case RemoveNetwork():
                await self._world.desk.remove_network(action.key)
                self._world.records.drop_network(action.key)
            case CreateVolume():
                await self._create_volume(action)
            case RemoveVolume():
                await asyncio.to_thread(self._world.volumes.remove, action.name)
            case CreateContainer():
                await self._create_container(action)
            case UpdateContainer():
                await self._update(action)
            case StartContainer():
                self._remember_trials(self._container(action))
                await self._runner.start(self._container(action), now=action.now)
            case StopContainer():
                self._remember_trials(self._container(action))
                await self._runner.stop(self._container(action), action.timeout, returns=action.returns)
            case KillContainer():
                await self._runner.kill(self._container(action), action.signal)
            case PauseContainer():
                await self._runner.pause(self._container(action))
            case UnpauseContainer():
                await self._runner.unpause(self._container(action))
            case RemoveContainer():
                await self._runner.remove(self._container(action), volumes=action.volumes)
            case Watch():
                await self._watch(action)
            case Pause():
                await asyncio.sleep(action.seconds)
            case WaitFor():
                await self._wait(action)
            case _:
                raise Bug(f"cannot {action.describe()}: nobody knows how")

    async def undo(self) -> None:
        """After a failure: what is not to be looked at, and not to be started by the next ``up`` (``withdrawal``), is
        taken away, with the networks that only it needed."""
        replicas = self._world.replicas()
        made = [item for item in self._created.values() if item.id in self._world.containers]
        made += [item for item in replicas if self._left_beside(item)]
        ran = any(item.state.started_ns for one in made for item in (one, *self._world.steps_of(one)))
        idle = [item for item in made if not (item.state.started_ns or item.waits_for_its_time)]
        beside = [item for item in idle if stands_beside(item, replicas, self._replaced)]
        fresh = idle if self._first and not ran else []
        for container in fresh or beside:
            tried = container.phase is Phase.EXITED
            await self._runner.remove(container, volumes=not container.definition.inherits)
            self._did(f"remove container {container.name}")
            if tried and not fresh:
                self._tell(superseded_text(container))
        self._tell(withdrawn_text(fresh))
        used = {item.network for other in self._world.containers.values() for item in other.definition.endpoints}
        for key in self._networks.keys() - used:
            await self._world.desk.remove_network(key)
            self._world.records.drop_network(key)
            self._did(f"remove network {self._networks[key]}")

    def _did(self, text: str) -> None:
        """For ``history``: no plan has it."""
        self._emit({"event": "did", "text": text, "reason": "the change has failed"})

    def _tell(self, text: str) -> None:
        if text:
            self._emit({"event": "notice", "text": text})

    def _left_beside(self, container: Container) -> bool:
        """It was made by an update that was cut short, and what it is to replace is there still."""
        mine = self._stack is not None and container.service in self._stack.services
        return mine and container.name not in self._created and container.state.trial_for in self._world.containers

    @property
    def stack(self) -> Stack:
        if self._stack is None:
            raise Bug("cannot create anything: this command was given no stack")
        return self._stack

    def _container(self, action: ContainerAction) -> Container:
        if action.container_id:
            found = self._world.containers.get(action.container_id)
        else:
            found = self._created.get(action.name)
        if found is None:
            raise ContainerFault(f"cannot {action.describe()}: there is no such container any more")
        return found

    async def _create_network(self, action: CreateNetwork) -> None:
        record = await self._world.desk.create_network(action.key, self.stack.networks[action.key])
        self._world.records.put_network(action.key, record)
        self._networks[action.key] = action.name

    async def _create_volume(self, action: CreateVolume) -> None:
        volume = self.stack.volumes[action.key]
        await self._creator.create_volume(action.name, volume, project=self._world.project, key=action.key)

    async def _create_container(self, action: CreateContainer) -> None:
        replaced = self._world.containers.get(action.replaces) if action.replaces else None
        container = await self._creator.create(
            self.stack,
            self.stack.services[action.service],
            number=action.number,
            name=action.name,
            inherit=replaced if action.inherit else None,
            created=self._created,
            trial_for=action.replaces if action.on_trial else "",
        )
        self._created[action.name] = container
        self._replaced[container.id] = action.replaces
        if replaced is not None:
            self._remember(replaced, container.definition)

    def _remember(self, old: Container, new: Definition) -> None:
        """What has never run, or was never found good, is nothing to go back to."""
        from stackup.engine.rolling import remember  # seldom needed

        if self._remembers and old.state.started_ns and not old.state.trial_for:
            remember(self._world, old.definition, new)

    def _remember_trials(self, container: Container) -> None:
        """Who made the one on trial may have died before it came to that."""
        known = self._world.containers
        for new in self._world.replicas():
            old = known.get(new.state.trial_for)
            if old is not None and container in (old, new):
                self._remember(old, new.definition)

    async def _update(self, action: UpdateContainer) -> None:
        from stackup.engine.updating import update  # seldom needed

        service = self.stack.services[action.service]
        container = self._container(action)
        wanted = self._creator.redefine(self.stack, service, container.definition)
        self._remember(container, wanted)
        await update(self._world, self._runner, container, service, wanted)

    async def _watch(self, action: Watch) -> None:
        from stackup.engine.rolling import Batches  # seldom needed

        if self._batches is None:
            self._batches = Batches(self._world, self._runner, self._tell, self._did)
        ids = action.ids or ("",) * len(action.names)
        known = self._world.containers
        found = [known.get(i) if i else self._created.get(name) for name, i in zip(action.names, ids, strict=True)]
        await self._batches.watch(action, [item for item in found if item is not None])

    async def _wait(self, action: WaitFor) -> None:
        """Fails as soon as the condition cannot come true any more."""
        world = self._world
        text = await wait_until(
            lambda: world.of_service(action.service),
            action.condition,
            world.changes[action.service],
            timeout=action.timeout,
        )
        if not text:
            return
        raise ContainerFault(
            f"cannot wait until {action.describe().removeprefix('wait until ')}: {text}",
            hint=await last_words(world, failing(world.of_service(action.service), action.condition)),
        )
