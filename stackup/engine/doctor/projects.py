"""Projects as recorded against what the kernel has: ``look`` reads both, ``examine`` says what does not fit."""

from __future__ import annotations

from collections.abc import Iterator

from stackup.base.clock import boot_id
from stackup.base.errors import StackupError
from stackup.base.names import project_cgroup
from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.engine.damage import damage
from stackup.engine.doctor.finding import NOTE, PROBLEM, WARNING, Finding
from stackup.engine.leftovers import Leftover
from stackup.engine.schema import NEWER, OLDER
from stackup.engine.status import unrecorded_text

UNSURE = ("created", "removing")  # phases in which something may be missing
RUNS = ("starting", "running", "stopping", "paused")


@frozen
class Recorded:
    """A container: ``alive`` is whether its very process is there; ``damage``: what of its directories is not."""

    name: str
    phase: str
    this_boot: bool
    alive: bool
    damage: str = ""


@frozen
class Place:
    """A network that the project made."""

    name: str
    bridge: str


@frozen
class Scene:
    """One project. ``unreadable``: why its records cannot be read. ``launcher``: does it, or its supervisor, live?"""

    project: str
    containers: tuple[Recorded, ...] = ()
    networks: tuple[Place, ...] = ()
    unreadable: str = ""
    records: str = ""
    launcher: bool = False
    unrecorded: tuple[str, ...] = ()  # control groups with processes that no record names


@frozen
class Kernel:
    """``orphans`` are owners of builds of any state root; ``leftovers`` are of this one."""

    bridges: frozenset[str] = frozenset()
    leftovers: tuple[Leftover, ...] = ()
    orphans: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()


def examine(scenes: tuple[Scene, ...], kernel: Kernel) -> list[Finding]:
    found = [item for scene in scenes for item in (*_of_project(scene), *_networks(scene, kernel))]
    return [*found, *_strangers(scenes, kernel)]


def _of_project(scene: Scene) -> Iterator[Finding]:
    yield from _records(scene)
    yield from _processes(scene)
    yield from _directories(scene)
    if scene.unrecorded:
        yield Finding(
            "unrecorded",
            PROBLEM,
            unrecorded_text(scene.unrecorded),
            "ps does not show them, and nobody looks after them",
            f"stackup -p {scene.project} down ends them, up -d ends them and starts new ones; volumes stay",
            scene.project,
        )


def _directories(scene: Scene) -> Iterator[Finding]:
    for item in scene.containers:
        if item.damage:
            yield Finding(
                "deleted",
                PROBLEM,
                f"container {item.name}: {item.damage}",
                "what was in it is lost; a process that runs still has what it holds open, until it ends",
                f"put volumes back from a backup, then stackup -p {scene.project} up -d",
                scene.project,
            )


def _records(scene: Scene) -> Iterator[Finding]:
    if not scene.unreadable:
        return
    remedy = (
        f"mv {scene.records} {scene.records}.damaged; stackup -p {scene.project} down: what is there is found by "
        "its name and taken away; volumes and images stay"
    )
    kind = "records"
    if NEWER in scene.unreadable:
        kind, remedy = "newer", "upgrade stackup: nothing is wrong with them"
    elif OLDER in scene.unreadable:
        kind, remedy = "older", f"stackup -p {scene.project} down with the version that wrote them"
    yield Finding(
        kind,
        PROBLEM,
        f"its records cannot be read: {scene.unreadable}",
        "no command for this project works; its containers, if any, run on",
        remedy,
        scene.project,
    )


def _processes(scene: Scene) -> Iterator[Finding]:
    alive = [item.name for item in scene.containers if item.alive]
    if alive and not scene.launcher:
        yield Finding(
            "launcher-dead",
            PROBLEM,
            f"{_some(alive)} run{'s' if len(alive) == 1 else ''}, but the project's launcher and supervisor do not",
            "both were killed: nobody restarts, probes or answers names; output waits in pipes",
            f"stackup -p {scene.project} ps takes over, as any command for the project does",
            scene.project,
        )
    dead = [item.name for item in scene.containers if item.phase in RUNS and item.this_boot and not item.alive]
    if dead and not scene.launcher:
        yield Finding(
            "died-unseen",
            PROBLEM,
            f"{_some(dead)} died while nobody watched",
            "records still say that it runs; it was not restarted",
            f"stackup -p {scene.project} up -d",
            scene.project,
        )
    rebooted = [item.name for item in scene.containers if item.phase in RUNS and not item.this_boot]
    if rebooted:
        yield Finding(
            "rebooted",
            NOTE,
            f"the machine was restarted while {_some(rebooted)} ran",
            "nothing starts by itself unless stackup systemd install was used",
            f"stackup -p {scene.project} up -d",
            scene.project,
        )


def _networks(scene: Scene, kernel: Kernel) -> Iterator[Finding]:
    """Where nothing runs, a network's bridge is made again by the next command."""
    if not any(item.alive for item in scene.containers):
        return
    for network in scene.networks:
        if network.bridge not in kernel.bridges:
            yield Finding(
                "bridge-gone",
                PROBLEM,
                f"the bridge {network.bridge} of network {network.name} is gone",
                "its containers reach neither each other nor the outside",
                f"stackup -p {scene.project} restart",
                scene.project,
            )


def _strangers(scenes: tuple[Scene, ...], kernel: Kernel) -> Iterator[Finding]:
    known = {scene.project for scene in scenes}
    for leftover in kernel.leftovers:
        if leftover.is_project and leftover.owner not in known:
            yield Finding(
                "leftover",
                PROBLEM,
                f"there is no project {leftover.owner}, but the kernel has things of it: {_things(leftover)}",
                "its files were deleted while it ran, or a command was killed at its very end",
                "stackup down --all",
                leftover.owner,
            )
    for owner in kernel.orphans:
        things = next((_things(item) for item in kernel.leftovers if item.owner == owner), "links, control groups")
        yield Finding(
            "build-orphan",
            PROBLEM,
            f"a build was killed and left things in the kernel: {things} ({owner})",
            "its bridge keeps a subnet and keeps ip_forward on",
            "stackup down --all, or any build, sweeps them",
        )
    for place in kernel.mounts:
        yield Finding(
            "mount",
            WARNING,
            f"something is mounted at {place}, inside the state directory",
            "stackup mounts nothing in the machine's own mount namespace; what is under it is hidden",
            f"umount {place}, unless you put it there",
        )


def _things(leftover: Leftover) -> str:
    trace = leftover.trace
    words = [f"control group {leftover.cgroup}"] if leftover.cgroup else []
    words += [f"processes {', '.join(map(str, leftover.pids))}"] if leftover.pids else []
    if trace is not None:
        words += [f"link {name}" for name in (*trace.bridges, *trace.veths)]
        words += [f"nft table {trace.table}"] if trace.table else []
    return ", ".join(words)


def _some(names: list[str]) -> str:
    return f"container {names[0]}" if len(names) == 1 else f"containers {', '.join(names)}"


def look(layout: Layout) -> tuple[tuple[Scene, ...], Kernel]:
    """Reads everything that ``examine`` needs. Raises StackupError where the kernel cannot be asked."""
    from stackup.build.orphans import orphans
    from stackup.engine.inventory import project_names
    from stackup.engine.leftovers import find, mount_points

    found = find(layout)
    bridges = {name for item in found if item.trace for name in item.trace.bridges}
    kernel = Kernel(
        frozenset(bridges),
        found,
        tuple(item.owner for item in orphans(tables=True)),
        tuple(mount_points(layout)),
    )
    return tuple(_scene(layout, name) for name in project_names(layout)), kernel


def _scene(layout: Layout, name: str) -> Scene:
    from stackup.engine.inventory import read_project
    from stackup.engine.status import start_time_of, unrecorded

    paths = layout.project(name)
    launcher = _is_watched(project_cgroup(name, layout.root))
    try:
        project = read_project(layout, name)
    except StackupError as error:
        return Scene(name, unreadable=error.message, records=str(paths.records), launcher=launcher)
    containers = []
    for item in project.containers:
        state = item.state
        here = state.boot_id == boot_id()
        alive = here and state.phase in RUNS and state.pid > 0 and start_time_of(state.pid) == state.start_time
        place = paths.container(item.definition.id)
        broken = damage(layout, place, item.definition) if state.phase not in UNSURE else ""
        containers.append(Recorded(item.definition.name, state.phase, here, alive, broken))
    own = (data["state"] for data in project.networks.values() if not data["external"])
    networks = tuple(Place(state["name"], state["bridge"]) for state in own)
    strangers = unrecorded(layout, name, (item.definition.id for item in project.containers))
    return Scene(name, tuple(containers), networks, "", str(paths.records), launcher, tuple(strangers))


def _is_watched(group: str) -> bool:
    """Whether the project's own group holds a process that is no container's: on hosts with cgroup v1, containers are
    in it, too, in those hierarchies that limit nothing of theirs."""
    from stackup.runtime.cgroups import OWN_GROUP, children, processes

    inside = {pid for name in children(group) if name != OWN_GROUP for pid in processes(f"{group}/{name}")}
    return bool(set(processes(f"{group}/{OWN_GROUP}")) - inside)
