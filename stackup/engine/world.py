"""What the parts of the engine share while a project runs: the live containers and the doors to the floors below."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackup.base.clock import now_ns
from stackup.base.paths import ContainerPaths, Layout, ProjectPaths
from stackup.engine.bus import Bus
from stackup.engine.chronicle import Chronicle
from stackup.engine.container import Container
from stackup.engine.execs import Execs
from stackup.engine.follow import Follower
from stackup.engine.records import Records
from stackup.engine.signals import Changes, Turn
from stackup.images.host import STATE_LABEL
from stackup.model.observed import Phase
from stackup.runtime.seccomp import compiled_filter

if TYPE_CHECKING:
    from stackup.engine.forwarder import Forwarder
    from stackup.engine.guard import Guard
    from stackup.engine.network_desk import NetworkDesk
    from stackup.images.image import Image
    from stackup.images.store import ImageStore
    from stackup.runtime.client import LauncherClient
    from stackup.volumes.store import VolumeStore

SETTLE_EVERY = 1.0  # seconds between two attempts to write what a full disk did not take
STARTS_IN_FLIGHT = 4  # measured: a window of 2 to 4 starts keeps two cores busy, more only adds contention


@dataclass(slots=True)
class World:
    project: str
    layout: Layout
    paths: ProjectPaths
    records: Records
    launcher: LauncherClient
    desk: NetworkDesk
    images: ImageStore
    volumes: VolumeStore
    bus: Bus = field(default_factory=Bus)
    containers: dict[str, Container] = field(default_factory=dict)
    followers: set[Follower] = field(default_factory=set)
    forwarders: dict[str, Forwarder] = field(default_factory=dict)  # by container, where output is sent on
    chronicle: Chronicle = field(init=False)
    changes: defaultdict[str, Changes] = field(default_factory=lambda: defaultdict(Changes))
    untold: list[str] = field(default_factory=list)  # for whoever asks for a change first
    audience: list[Callable[[dict[str, Any]], None]] = field(default_factory=list)
    any_change: Changes = field(default_factory=Changes)
    execs: Execs = field(default_factory=Execs)
    guard: Guard | None = None  # notices what others change
    settling: bool = False
    leaving: bool = False  # this process ends, and another one will take over
    preparing: dict[tuple[str, str, int], Turn] = field(default_factory=dict)  # by service, its hash, and step
    creations: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    starts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STARTS_IN_FLIGHT))

    fit: set[tuple[tuple[str, ...], ...]] = field(default_factory=set)  # stacks of lowers that overlayfs accepts here
    _container_paths: dict[str, ContainerPaths] = field(default_factory=dict)
    _materializing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _materialized: set[tuple[str, str]] = field(default_factory=set)
    _resolved: dict[str, Image | None] = field(default_factory=dict)
    _index_mark: tuple[int, int, int] = (0, 0, 0)
    _filters: dict[tuple[tuple[str, ...], str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chronicle = Chronicle(self.layout, self.project, self.bus.publish)

    def container_paths(self, container_id: str) -> ContainerPaths:
        if container_id not in self._container_paths:
            self._container_paths[container_id] = self.paths.container(container_id)
        return self._container_paths[container_id]

    def log_directory(self, container_id: str) -> Path:
        return self.paths.container(container_id).state

    def image(self, reference: str) -> Image | None:
        """Remembered until the store's index changes; the machine's own userland may change at any time."""
        mark = _mark(self.layout.images / "index.json")
        if mark != self._index_mark:
            self._index_mark = mark
            self._resolved.clear()
        if reference in self._resolved:
            return self._resolved[reference]
        image = self.images.resolve(reference)
        if image is None or not image.host:
            self._resolved[reference] = image
        return image

    def image_id(self, reference: str) -> str | None:
        image = self.image(reference)
        return image.id if image else None

    async def materialize(self, image: Image) -> None:
        """Unpacks what is not unpacked yet, or not any more: a damaged layer is deleted while no container has it."""
        key = (image.id, image.host_state)
        if key in self._materialized and self.images.ready(image):
            return
        async with self._materializing:
            if key not in self._materialized or not self.images.ready(image):
                await asyncio.to_thread(self.images.materialize, image)
                self._materialized.add(key)

    def seccomp_filter(self, capabilities: tuple[str, ...], profile: str) -> str:
        """Path of the compiled filter; ``profile`` empty is the default one."""
        key = (capabilities, profile)
        if profile or key not in self._filters:
            path = compiled_filter(self.layout, capabilities, Path(profile) if profile else None)
            self._filters[key] = str(path)
        return self._filters[key]

    def host_notice(self) -> str:
        """What to say when the machine's packages changed under running containers that stand on them; else empty."""
        stamps = {item.definition.labels.get(STATE_LABEL, "") for item in self.containers.values() if item.alive}
        found = (self.images.host.changed_since(stamp) for stamp in stamps - {""})
        return next(filter(None, found), "")

    def replicas(self) -> list[Container]:
        """The services' own containers, without those that prepare them."""
        return [item for item in self.containers.values() if not item.definition.parent]

    def steps_of(self, container: Container) -> list[Container]:
        """Containers that are still to be run, in order, before ``container`` may start."""
        found = [item for item in self.containers.values() if item.definition.parent == container.id]
        return sorted(found, key=lambda item: item.definition.step)

    async def starts_over(self, patience: float = 5.0) -> None:
        """Waits until nothing is being started: what a predecessor had begun, and restarts that are due. Whoever looks
        then sees what came of it. Not for longer than ``patience`` seconds."""

        def busy(container: Container) -> bool:
            due = container.phase is Phase.RESTARTING and container.state.restart_at_ns <= now_ns()
            return due or container.phase is Phase.STARTING

        await self.any_change.until(lambda: not any(map(busy, self.containers.values())), timeout=patience)

    def of_service(self, service: str) -> list[Container]:
        found = [item for item in self.replicas() if item.service == service]
        return sorted(found, key=lambda item: item.definition.number)

    def by_name(self, name: str) -> Container | None:
        return next((item for item in self.containers.values() if item.name == name), None)

    def publish(self, container: Container, what: str) -> None:
        """Tells everybody that ``container`` changed; handed to every Container as its voice."""
        state = container.state
        self.bus.publish(
            {
                "event": "container",
                "what": what,
                "id": container.id,
                "name": container.name,
                "service": container.service,
                "phase": state.phase,
                "health": state.health,
                "code": state.exit_code,
            }
        )
        self.chronicle.container(container, what)
        if what == "starting":
            for follower in self.followers:
                if follower.wants(container):
                    follower.add(container)
        if what == "updated" and self.guard:
            self.guard.refresh(container)
        if what == "removed":
            if self.guard:
                self.guard.removed(container)
            self._container_paths.pop(container.id, None)
            if container.id in self.forwarders:
                self.forwarders.pop(container.id).stop()
        if what == "exited":
            restarting = container.phase is Phase.RESTARTING
            for follower in self.followers:
                follower.ended(container, restarting=restarting)
        self.changes[container.service].notify()
        self.any_change.notify()
        if self.records.owed and not self.settling:
            self._settle_later()

    def _settle_later(self) -> None:
        """The disk was full: what it did not take is written as soon as it can be."""
        self.settling = True

        def settle() -> None:
            self.settling = False
            if not self.records.settle():
                self._settle_later()

        asyncio.get_running_loop().call_later(SETTLE_EVERY, settle)

    def tell(self, text: str) -> None:
        """Something the users whose requests are under way should know."""
        event = {"event": "notice", "text": text}
        self.bus.publish(event)
        for emit in self.audience:
            emit(event)

    def hook_ended(self, container: Container, kind: str, command: Sequence[str], status: int, output: str) -> None:
        said = {"output": output.rstrip("\n")} if output.strip() else {}
        self.chronicle.of_container(container, kind, command=" ".join(command), exitCode=str(status), **said)
        self.bus.publish(
            {
                "event": "hook",
                "name": container.name,
                "service": container.service,
                "kind": kind,
                "command": list(command),
                "code": status,
                "output": output,
            }
        )

    def output(self, container_id: str) -> None:
        for follower in self.followers:
            follower.touched(container_id)
        if self.forwarders and container_id in self.forwarders:
            self.forwarders[container_id].touched()


def _mark(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_size, found.st_ino
