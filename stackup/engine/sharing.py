"""Namespaces that a service shares with another container: ``network_mode``, ``pid`` and ``ipc`` of service:X."""

from __future__ import annotations

from collections.abc import Mapping

from stackup.base.errors import ContainerFault
from stackup.engine.container import Container
from stackup.engine.world import World
from stackup.model.observed import Phase
from stackup.model.stack import Service

_ATTRIBUTES = {"network": "network_mode", "pid": "pid", "ipc": "ipc"}


def shared_namespaces(world: World, service: Service, created: Mapping[str, Container]) -> dict[str, str]:
    """OCI namespace type -> id of the container whose namespace is joined."""
    modes = {"network": service.network_mode, "pid": service.pid, "ipc": service.ipc}
    found = {}
    for kind, mode in modes.items():
        scheme, _, name = (mode or "").partition(":")
        if scheme == "service" and name:
            found[kind] = _of_service(world, service, name, created).id
        elif scheme == "container" and name:
            found[kind] = _by_name(world, service, name, _ATTRIBUTES[kind]).id
    return found


def _of_service(world: World, service: Service, name: str, created: Mapping[str, Container]) -> Container:
    fresh = [item for item in created.values() if item.service == name]
    known = [item for item in world.of_service(name) if item.phase is not Phase.REMOVING]
    for container in (*fresh, *known):
        return container
    raise ContainerFault(f"cannot create a container of service {service.name}: service {name} has no container")


def _by_name(world: World, service: Service, name: str, attribute: str) -> Container:
    found = world.by_name(name) or next((item for item in world.containers.values() if item.id.startswith(name)), None)
    if found is None:
        raise ContainerFault(
            f"cannot create a container of service {service.name}: there is no container {name} in this project",
            about=f".{attribute}",
        )
    return found
