"""Which services a request means, and what is wrong with how it names them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from stackup.base.errors import PlanRefused, UsageError
from stackup.model.observed import Observed, ObservedContainer
from stackup.model.stack import Service, Stack
from stackup.planner.desired import Desired, Verb
from stackup.planner.order import ServiceGraph, graph_of, namespace_parents

_VERBS = {Verb.UP: "start", Verb.DOWN: "take down", Verb.REMOVE: "remove"}


def in_words(verb: Verb) -> str:
    """For error texts: cannot <verb> service ..."""
    return _VERBS.get(verb, verb.value)


def active_services(desired: Desired, stack: Stack) -> dict[str, Service]:
    """Enabled services, and those that the user names although no active profile selects them."""
    services = dict(stack.services)
    services.update({name: stack.disabled[name] for name in desired.services if name in stack.disabled})
    return services


def check_names(desired: Desired, known: Iterable[str]) -> None:
    """Raises UsageError for a service that does not exist."""
    names = list(known)
    for name in (*desired.services, *desired.scale):
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {close[0]}?" if close else f"services: {', '.join(sorted(names)) or 'none'}"
            raise UsageError(f"cannot {in_words(desired.verb)} service {name}: there is no such service", hint=hint)


def check_scale(desired: Desired, services: Mapping[str, Service]) -> None:
    """Raises for a number of replicas that cannot be."""
    for name, count in desired.scale.items():
        if count < 0:
            raise UsageError(f"cannot scale service {name} to {count}: not a number of containers")
        if count > 1 and services[name].container_name:
            raise PlanRefused(
                f"cannot scale service {name} to {count}: its container_name {services[name].container_name!r} "
                "can be used only once",
                hint="remove container_name from the service",
            )


def selected(desired: Desired, graph: ServiceGraph, names: Iterable[str]) -> set[str]:
    """Services that the request is about, with what they need unless ``no_deps``."""
    chosen = set(desired.services) or set(names)
    return chosen if desired.no_deps else graph.closure(chosen) & set(names)


def namespace_children(services: Mapping[str, Service], names: set[str]) -> set[str]:
    """Services outside ``names`` that live in a namespace of one inside, directly or not."""
    found: set[str] = set()
    grown = True
    while grown:
        grown = False
        for name, service in services.items():
            inside = names | found
            if name not in inside and any(parent in inside for parent in namespace_parents(service)):
                found.add(name)
                grown = True
    return found


def recorded_scope(desired: Desired, observed: Observed) -> tuple[list[ObservedContainer], ServiceGraph]:
    """For verbs that work on what exists: the containers meant, and the order of all services.

    With a stack file, containers of services that it does not know are left alone, but by ``down`` when they are named,
    or when all orphans are to go.
    """
    stack = desired.stack
    services: dict[str, Service] = {**stack.services, **stack.disabled} if stack else {}
    graph = graph_of(services, observed.containers)
    check_names(desired, {*services, *(item.service for item in observed.containers)})
    containers = [item for item in observed.containers if not desired.services or item.service in desired.services]
    if stack and desired.verb is Verb.DOWN:
        if not (desired.remove_orphans or desired.services):
            containers = [item for item in containers if item.service in services]
    elif stack:
        containers = [item for item in containers if item.service in services and not item.oneoff]
    return sorted(containers, key=lambda item: (item.service, item.oneoff, item.number, item.id)), graph
