"""The bundle of one incarnation: the spec as it was rendered at creation, completed with what is new at every start."""

from __future__ import annotations

import json
import os
from typing import Any

from stackup.base.errors import ContainerFault
from stackup.base.files import write_atomic
from stackup.engine.container import Container
from stackup.engine.damage import REMEDY, TEMPLATE, has_bundle
from stackup.engine.naming import write_etc_files
from stackup.engine.outputs import keeps_output
from stackup.engine.records import Definition
from stackup.engine.world import World
from stackup.images.image import prepare
from stackup.linux.overlay import Overlay
from stackup.oci.runtime import Spec
from stackup.runtime.bundle import Launch, write_config, write_launch

NAMESPACE_FILES = {"network": "net", "pid": "pid", "ipc": "ipc", "uts": "uts"}


def write_spec(world: World, definition: Definition, spec: Spec) -> None:
    """Keeps the rendered spec: as config.json where nothing in it changes from start to start, else as a template."""
    bundle = world.container_paths(definition.id).state
    config = spec.to_json()
    if definition.namespaces_of:
        write_atomic(bundle / TEMPLATE, json.dumps(config, separators=(",", ":")), mode=0o600)
    else:
        write_config(bundle, config)


def has_spec(world: World, container: Container) -> bool:
    """False when the container's creation was cut short."""
    return has_bundle(world.container_paths(container.id))


def write_incarnation(world: World, container: Container, incarnation: int) -> None:
    """Writes what is new for the start that is about to happen: launch.json, /etc/hosts and the like, namespaces."""
    definition = container.definition
    paths = world.container_paths(container.id)
    if not has_bundle(paths):
        raise ContainerFault(
            f"cannot start container {container.name}: its state directory {paths.state} was deleted", hint=REMEDY
        )
    if definition.namespaces_of:
        config = json.loads((paths.state / TEMPLATE).read_bytes())
        write_config(paths.state, _with_shared_namespaces(world, container, config))
    overlays = tuple(Overlay(**{**item, "lowers": tuple(item["lowers"])}) for item in definition.overlays)
    lowers = tuple(item.lowers for item in overlays)
    prepare(overlays, checked=lowers in world.fit)
    world.fit.add(lowers)
    silent = definition.tty or not keeps_output(definition)
    launch = Launch(
        container_id=definition.id,
        incarnation=incarnation,
        cgroup=definition.cgroup,
        exit_file=str(paths.exit_file),
        overlays=overlays,
        veths=world.desk.veths(container),
        dns=bool(definition.endpoints),
        stdout="" if silent else str(paths.fifo("stdout")),
        stderr="" if silent else str(paths.fifo("stderr")),
        tty=definition.tty,
        stdin_open=definition.stdin_open,
        seccomp_filter=definition.seccomp_filter,
        init=definition.init,
    )
    os.makedirs(paths.run, exist_ok=True)
    write_etc_files(paths.run, definition, world.desk.addresses(container), world.desk.gateway(container))
    write_launch(paths.state, launch)


def _with_shared_namespaces(world: World, container: Container, config: dict[str, Any]) -> dict[str, Any]:
    shared = container.definition.namespaces_of
    joined = [
        {"type": kind, "path": _namespace_path(world, container, kind, owner)} for kind, owner in sorted(shared.items())
    ]
    linux = config["linux"]
    kept = [item for item in linux["namespaces"] if item["type"] not in shared]
    found = {**config, "linux": {**linux, "namespaces": [*kept, *joined]}}
    if "ipc" in shared:
        found["mounts"] = [_shared_memory(world, item, shared["ipc"]) for item in config["mounts"]]
    return found


def _shared_memory(world: World, mount: dict[str, Any], owner_id: str) -> dict[str, Any]:
    """POSIX shared memory goes with the IPC namespace (moby: the containers have one ShmPath). A /dev/shm that the
    service mounts itself stays."""
    if (mount["destination"], mount["type"], mount["source"]) != ("/dev/shm", "tmpfs", "shm"):
        return mount
    source = f"/proc/{world.containers[owner_id].state.pid}/root/dev/shm"
    return {**mount, "type": "bind", "source": source, "options": ["bind", "rprivate"]}


def _namespace_path(world: World, container: Container, kind: str, owner_id: str) -> str:
    owner = world.containers.get(owner_id)
    if owner is None or not owner.alive:
        name = owner.name if owner else owner_id[:12]
        raise ContainerFault(
            f"cannot start container {container.name}: it shares the {kind} namespace of {name}, which is not running"
        )
    return f"/proc/{owner.state.pid}/ns/{NAMESPACE_FILES[kind]}"
