"""A little model world: holds what would be observed, and carries out plans as a strict engine would.

``perform`` asserts what every engine relies on: actions come after what they wait for, nothing is started twice,
networks and volumes go only once nobody uses them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from textwrap import dedent
from typing import Any

from stackup.model.observed import (
    Health,
    ImageMarks,
    Observed,
    ObservedContainer,
    ObservedNetwork,
    ObservedVolume,
    Phase,
)
from stackup.model.plan import (
    Action,
    BuildImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    KillContainer,
    Pause,
    Plan,
    PullImage,
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    StartContainer,
    StopContainer,
    UpdateContainer,
    WaitFor,
    Watch,
)
from stackup.model.stack import Service, Stack
from stackup.planner import Desired, Verb, config_hash, decide, network_config, service_config, volume_config
from stackup.planner.images import image_of
from stackup.planner.order import namespace_parents

PROJECT = "shop"


def make_stack(services: dict[str, dict[str, Any]], **top: Any) -> Stack:
    """As the loader would make it: images named after the services, the default network, named volumes declared."""
    full = {}
    networks = {key: {"name": f"{PROJECT}_{key}", **value} for key, value in top.pop("networks", {}).items()}
    volumes = {key: {"name": f"{PROJECT}_{key}", **value} for key, value in top.pop("volumes", {}).items()}
    for name, given in services.items():
        item = {"name": name, **given}
        if "build" not in item:
            item.setdefault("image", name)
        if "network_mode" not in item:
            item.setdefault("networks", {"default": None})
        for key in item.get("networks", {}):
            networks.setdefault(key, {"name": f"{PROJECT}_{key}"})
        for mount in item.get("volumes", ()):
            if mount["type"] == "volume" and mount.get("source"):
                volumes.setdefault(mount["source"], {"name": f"{PROJECT}_{mount['source']}"})
        full[name] = item
    return Stack.model_validate({"name": PROJECT, "services": full, "networks": networks, "volumes": volumes, **top})


def needs(*names: str, condition: str = "service_started", **more: Any) -> dict[str, Any]:
    return {name: {"condition": condition, **more} for name in names}


def healthy(*names: str, **more: Any) -> dict[str, Any]:
    return needs(*names, condition="service_healthy", **more)


def completed(*names: str) -> dict[str, Any]:
    return needs(*names, condition="service_completed_successfully")


def volume(source: str | None, target: str) -> dict[str, Any]:
    return {"type": "volume", "source": source, "target": target}


CHECKED = {"healthcheck": {"test": ["CMD", "true"]}}


def lines(text: str) -> str:
    return dedent(text).strip("\n") + "\n"


@dataclass
class World:
    """``ending``: services whose processes end with 0 at once. ``images``: reference -> id of what is here."""

    ending: set[str] = field(default_factory=set)
    images: dict[str, str] = field(default_factory=dict)
    containers: dict[str, ObservedContainer] = field(default_factory=dict)
    networks: dict[str, ObservedNetwork] = field(default_factory=dict)
    volumes: dict[str, ObservedVolume] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)  # container id -> how often it was started
    joined: dict[str, dict[str, int]] = field(default_factory=dict)  # id -> owner's id -> which start of it
    counter: int = 0
    builds: int = 0
    marks: dict[str, ImageMarks] = field(default_factory=dict)

    def observed(self, stack: Stack | None = None) -> Observed:
        references = {image_of(PROJECT, service) for service in (stack.services if stack else {}).values()}
        return Observed(
            PROJECT,
            tuple(self.containers.values()),
            tuple(self.networks.values()),
            tuple(self.volumes.values()),
            {name: self.images.get(name) for name in references},
            self.marks,
        )

    def check(self, stack: Stack) -> None:
        """The world is what the stack asks for: so many replicas, one of a name, each in the newest namespaces."""
        names = [item.name for item in self.containers.values()]
        assert len(set(names)) == len(names), names
        for service in stack.services.values():
            found = [item for item in self.containers.values() if item.service == service.name]
            assert len(found) == service.replicas, f"{service.name}: {len(found)}"
            assert all(item.live or item.completed for item in found)
            digest = config_hash(service_config(stack, service))
            assert all(item.config_hash == digest for item in found)
            for item in found:
                assert item.networks == {key: self.networks[key].id for key in service.networks if key in self.networks}
            for item in found:
                for owner, start in self.joined[item.id].items() if item.live else ():
                    assert self.starts[owner] == start, f"{item.name} is in a namespace that is gone"

    def pull(self, stack: Stack) -> World:
        """Everything that the stack needs is here."""
        for service in stack.services.values():
            self.images.setdefault(image_of(PROJECT, service), f"sha256:{service.image or service.name}-1")
        return self

    def plan(self, stack: Stack | None, verb: str = "up", *services: str, **options: Any) -> Plan:
        return decide(Desired(Verb(verb), stack, services, **options), self.observed(stack))

    def run(self, stack: Stack | None, verb: str = "up", *services: str, **options: Any) -> World:
        desired = Desired(Verb(verb), stack, services, **options)
        plan = decide(desired, self.observed(stack))
        if plan.undecided:
            self.perform(plan.image_stage(), stack)
            plan = decide(desired.after_images(), self.observed(stack))
        self.perform(plan, stack)
        return self

    def up(self, stack: Stack, *services: str, **options: Any) -> World:
        return self.pull(stack).run(stack, "up", *services, **options)

    def change(self, which: str, /, **changes: Any) -> World:
        """Something happens to a container, or to all of a service."""
        for key, item in self.containers.items():
            if which in (item.name, item.service, item.id):
                self.containers[key] = replace(item, **changes)
        return self

    def perform(self, plan: Plan, stack: Stack | None) -> None:
        made: dict[str, str] = {}
        done: set[str] = set()
        for action in plan:
            assert set(action.after) <= done, f"{action.id} before {set(action.after) - done}"
            assert action.id not in done
            self._act(action, stack, made)
            done.add(action.id)

    def _act(self, action: Action, stack: Stack | None, made: dict[str, str]) -> None:
        match action:
            case BuildImage() | PullImage():
                self.builds += 1
                self.images.setdefault(action.image, f"sha256:{action.image}-made")
            case CreateNetwork():
                assert stack is not None and action.key not in self.networks
                config = network_config(stack.networks[action.key])
                self.counter += 1
                network_id = f"net{self.counter}"
                self.networks[action.key] = ObservedNetwork(
                    action.key, action.name, network_id, config_hash(config), config
                )
            case RemoveNetwork():
                users = [item.name for item in self.containers.values() if action.key in item.networks and item.live]
                assert not users, f"{action.name} is used by {users}"
                del self.networks[action.key]
            case CreateVolume():
                assert stack is not None and action.name not in self.volumes
                config = volume_config(stack.volumes[action.key])
                self.volumes[action.name] = ObservedVolume(action.name, action.key, config_hash(config), config)
            case RemoveVolume():
                users = [item.name for item in self.containers.values() if action.name in item.volumes.values()]
                assert not users, f"{action.name} is used by {users}"
                assert not self.volumes[action.name].external
                del self.volumes[action.name]
            case CreateContainer():
                assert stack is not None
                assert not action.replaces or action.replaces in self.containers or action.after
                services = {**stack.services, **stack.disabled}
                made[action.name] = self._create(action, stack, services[action.service])
            case UpdateContainer():
                assert stack is not None
                self._update(self.containers[action.container_id], stack)
            case StartContainer():
                self._start(action.container_id or made[action.name], stack)
            case StopContainer() | KillContainer():
                item = self.containers[action.container_id]
                assert item.live, f"{item.name} does not run"
                self.containers[item.id] = replace(
                    item, phase=Phase.EXITED, exit_code=143, stopped_by_user=True, health=Health.NONE
                )
            case RemoveContainer():
                item = self.containers.pop(action.container_id)
                assert not item.live, f"{item.name} still runs"
                if action.volumes:
                    for name in item.anonymous_volumes:
                        self.volumes.pop(name, None)
            case Watch():
                ids = action.ids or ("",) * len(action.names)
                for name, container_id in zip(action.names, ids, strict=True):
                    item = self.containers[container_id or made[name]]
                    assert item.live or item.completed, f"{item.name} is watched before it runs"
                    self.containers[item.id] = replace(item, trial_for="")
            case Pause():
                pass
            case WaitFor():
                assert any(item.service == action.service for item in self.containers.values())

    def _create(self, action: CreateContainer, stack: Stack, service: Service) -> str:
        self.counter += 1
        config = service_config(stack, service)
        mounts = {item.target or "": item for item in service.volumes if item.type == "volume"}
        volumes = {target: stack.volumes[item.source].name for target, item in mounts.items() if item.source}
        assert all(name in self.volumes for name in volumes.values())
        old = self.containers.get(action.replaces)
        anonymous = []
        for target, item in mounts.items():
            if item.source:
                continue
            name = old.volumes.get(target, "") if old and action.inherit else ""
            if old is None or name not in old.anonymous_volumes:
                self.counter += 1
                name = f"anon{self.counter}"
                self.volumes[name] = ObservedVolume(name, "", "", {}, anonymous=True)
            volumes[target] = name
            anonymous.append(name)
        parents = [self._newest(name) for name in namespace_parents(service)]
        container_id = f"{self.counter:02d}{'c' * 10}"
        self.containers[container_id] = ObservedContainer(
            id=container_id,
            name=action.name,
            service=service.name,
            number=action.number,
            phase=Phase.CREATED,
            config_hash=config_hash(config),
            config=config,
            image=image_of(PROJECT, service),
            image_id=self.images[image_of(PROJECT, service)],
            networks={key: self.networks[key].id for key in service.networks if key in self.networks},
            volumes=volumes,
            namespaces_of=tuple(item.id for item in parents if item),
            anonymous_volumes=tuple(anonymous),
            trial_for=action.replaces if action.on_trial else "",
        )
        return container_id

    def _update(self, item: ObservedContainer, stack: Stack) -> None:
        service = {**stack.services, **stack.disabled}[item.service]
        config = service_config(stack, service)
        assert set(item.networks) == {key for key in service.networks if key in self.networks}
        networks = {key: self.networks[key].id for key in item.networks}
        assert not (item.live and networks != item.networks), f"{item.name} changes its network while it runs"
        self.containers[item.id] = replace(
            item, config=config, config_hash=config_hash(config), networks=networks, updating=False
        )

    def _newest(self, service: str) -> ObservedContainer | None:
        found = [item for item in self.containers.values() if item.service == service]
        return found[-1] if found else None

    def _start(self, container_id: str, stack: Stack | None) -> None:
        item = self.containers[container_id]
        assert not item.live, f"{item.name} already runs"
        self.starts[item.id] = self.starts.get(item.id, 0) + 1
        self.joined[item.id] = {owner: self.starts.get(owner, 0) for owner in item.namespaces_of}
        assert all(self.joined[item.id].values()), f"{item.name} starts before the owner of its namespaces"
        twins = [other.name for other in self.containers.values() if other.name == item.name and other.live]
        service = stack.services.get(item.service) if stack else None
        update = service.deploy.update_config if service and service.deploy else None
        assert not twins or (update and update.order == "start-first"), f"{item.name} runs already as another container"
        if item.service in self.ending:
            changes: dict[str, Any] = {"phase": Phase.EXITED, "exit_code": 0}
        else:
            health = Health.HEALTHY if "healthcheck" in item.config else Health.NONE
            changes = {"phase": Phase.RUNNING, "exit_code": None, "health": health}
        self.containers[container_id] = replace(item, stopped_by_user=False, exit_unknown=False, **changes)
