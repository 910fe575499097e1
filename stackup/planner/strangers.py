"""Containers that services name directly (``container:NAME``): they must be there before anything is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from stackup.base.errors import PlanRefused
from stackup.base.names import container_name
from stackup.model.observed import Observed
from stackup.model.references import NAMESPACES
from stackup.model.stack import Service
from stackup.planner.words import listed

_CONTAINER = "container:"


def check_strangers(names: Iterable[str], services: Mapping[str, Service], observed: Observed) -> None:
    """Raises PlanRefused, with all of them, for containers that neither are here nor will be made of ``services``."""
    asked = [(path, found) for name in names for path, found in _named(services[name])]
    if not asked:
        return
    known = {item.name for item in observed.containers}
    for name, service in services.items():
        numbers = range(1, service.replicas + 1)
        known |= {service.container_name or container_name(observed.project, name, number) for number in numbers}
    errors = [
        PlanRefused(
            f"cannot use {path}: there is no container {name!r} in this project",
            about=path,
            hint=f"there are: {listed(sorted(known))}",
        )
        for path, name in asked
        if name not in known and not any(item.id.startswith(name) for item in observed.containers)
    ]
    if errors:
        errors[0].details = tuple(errors[1:])
        raise errors[0]


def _named(service: Service) -> Iterator[tuple[str, str]]:
    """Paths in the stack file, and the containers that stand there."""
    path = f"services.{service.name}"
    for attribute in NAMESPACES:
        text = getattr(service, attribute) or ""
        if text.startswith(_CONTAINER):
            yield f"{path}.{attribute}", text.removeprefix(_CONTAINER)
    for index, text in enumerate(service.volumes_from):
        if text.startswith(_CONTAINER):
            yield f"{path}.volumes_from.{index}", text.removeprefix(_CONTAINER).partition(":")[0]
