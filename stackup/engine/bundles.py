"""The bundle of one incarnation: the spec as it was rendered at creation, completed with what is new at every start."""

from __future__ import annotations

import json
from dataclasses import replace

from stackup.base.errors import ContainerFault
from stackup.base.files import write_atomic
from stackup.engine.container import Container
from stackup.engine.world import World
from stackup.images.image import prepare
from stackup.linux.overlay import Overlay
from stackup.network.resolv import hosts_file
from stackup.oci.codec import encode
from stackup.oci.runtime import Namespace, Spec
from stackup.runtime.bundle import Launch, write_bundle

TEMPLATE = "template.json"
NAMESPACE_FILES = {"network": "net", "pid": "pid", "ipc": "ipc", "uts": "uts"}


def write_template(world: World, container_id: str, spec: Spec) -> None:
    """Keeps the rendered spec; namespaces shared with other containers are filled in at every start."""
    bundle = world.container_paths(container_id).bundle
    bundle.mkdir(parents=True, exist_ok=True)
    write_atomic(bundle / TEMPLATE, json.dumps(encode(spec), separators=(",", ":")), mode=0o600)


def write_launch(world: World, container: Container) -> None:
    """Writes config.json, launch.json and /etc/hosts for the incarnation that is about to start."""
    definition = container.definition
    paths = world.container_paths(container.id)
    spec = Spec.from_json(json.loads((paths.bundle / TEMPLATE).read_bytes()))
    overlays = tuple(Overlay(**{**item, "lowers": tuple(item["lowers"])}) for item in definition.overlays)
    prepare(overlays)
    paths.run.mkdir(parents=True, exist_ok=True)
    launch = Launch(
        container_id=definition.id,
        incarnation=container.state.incarnation,
        cgroup=definition.cgroup,
        exit_file=str(paths.exit_file),
        overlays=overlays,
        veths=world.desk.veths(container),
        dns=bool(definition.endpoints),
        stdout="" if definition.tty else str(paths.fifo("stdout")),
        stderr="" if definition.tty else str(paths.fifo("stderr")),
        tty=definition.tty,
        stdin_open=definition.stdin_open,
        seccomp_filter=definition.seccomp_filter,
        init=definition.init,
    )
    _write_hosts(world, container)
    write_bundle(paths.bundle, _with_shared_namespaces(world, container, spec), launch)


def _write_hosts(world: World, container: Container) -> None:
    """The container's own names lead to the addresses of this incarnation. Written in place: the file is bound."""
    definition = container.definition
    if not definition.endpoints and definition.network_mode != "none":
        return
    text = hosts_file(
        definition.hostname,
        world.desk.addresses(container),
        domain=definition.naming.domainname,
        extra=definition.naming.extra_hosts,
        gateway=world.desk.gateway(container),
    )
    (world.container_paths(container.id).files / "hosts").write_text(text)


def _with_shared_namespaces(world: World, container: Container, spec: Spec) -> Spec:
    shared = container.definition.namespaces_of
    if not shared or spec.linux is None:
        return spec
    paths = {kind: _namespace_path(world, container, kind, owner) for kind, owner in shared.items()}
    kept = tuple(item for item in spec.linux.namespaces if item.type not in paths)
    joined = tuple(Namespace(kind, path) for kind, path in sorted(paths.items()))
    return replace(spec, linux=replace(spec.linux, namespaces=kept + joined))


def _namespace_path(world: World, container: Container, kind: str, owner_id: str) -> str:
    owner = world.containers.get(owner_id)
    if owner is None or not owner.alive:
        name = owner.name if owner else owner_id[:12]
        raise ContainerFault(
            f"cannot start container {container.name}: it shares the {kind} namespace of {name}, which is not running"
        )
    return f"/proc/{owner.state.pid}/ns/{NAMESPACE_FILES[kind]}"
