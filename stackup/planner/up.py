"""``up`` and ``create``: make what is into what should be.

First every service's containers get their fate (``fates``), then the actions are laid out (``layout``).
"""

from __future__ import annotations

from collections.abc import Mapping

from stackup.base.errors import PlanRefused
from stackup.base.values import frozen
from stackup.model.observed import Observed, ObservedContainer
from stackup.model.plan import Plan
from stackup.model.stack import Service, Stack
from stackup.planner.desired import Desired, Verb
from stackup.planner.draft import Draft
from stackup.planner.fates import Fates, starts_again
from stackup.planner.images import Images
from stackup.planner.layout import Layout
from stackup.planner.order import COMPLETED, graph_of, namespace_parents
from stackup.planner.orphans import find_orphans, tell_others
from stackup.planner.replicas import Fate, Replica
from stackup.planner.selection import active_services, check_names, check_scale, namespace_children, selected
from stackup.planner.sockets import ask_for_sockets
from stackup.planner.storage import Resource, plan_networks, plan_volumes
from stackup.planner.strangers import check_strangers
from stackup.planner.words import listed
from stackup.planner.work import Work


def plan_up(desired: Desired, stack: Stack, observed: Observed) -> Plan:
    """Raises UsageError or PlanRefused for what cannot be carried out as asked."""
    services = active_services(desired, stack)
    check_names(desired, services)
    check_scale(desired, services)
    orphans = find_orphans(stack, observed)
    graph = graph_of(services, orphans)
    chosen = selected(desired, graph, services)
    check_strangers((name for name in graph if name in chosen and name in services), services, observed)
    found = _resources(desired, stack, observed, services, [name for name in graph if name in chosen])
    going = {item.id for item in orphans} if desired.remove_orphans else set()
    _check_remade(observed, {*services}, going, found)
    draft = found.draft
    images = Images(draft, desired, observed, services, [name for name in graph if name in chosen])
    for name in graph:
        if name in chosen:
            images.asked(name)
    works = {}
    for name in graph:
        if name in chosen or name in found.visiting:
            targeted = not desired.services or name in desired.services
            works[name] = Work(name, services[name], graph.edges[name], targeted, name not in chosen)
    Fates(desired, stack, observed, works, found.networks, found.volumes, images).decide()
    _orphans(draft, desired, stack, observed, orphans, works)
    _tell_hopeless(draft, works, services)
    layout = Layout(draft, desired, observed, graph, works, found.networks, found.volumes, images)
    layout.add(start=desired.verb is Verb.UP)
    ask_for_sockets(draft, desired, stack)
    return draft.finish(observed.project)


@frozen
class _Resources:
    """What the services share. ``visiting``: services that were not chosen, but use something that is made anew, or
    live in a namespace of one that is chosen, or own a namespace of such a one."""

    draft: Draft
    networks: dict[str, Resource]
    volumes: dict[str, Resource]
    visiting: set[str]


def _resources(
    desired: Desired, stack: Stack, observed: Observed, services: Mapping[str, Service], chosen: list[str]
) -> _Resources:
    """Repeated while it finds further services: what those need must be there too."""
    visiting: set[str] = namespace_children(services, set(chosen))
    while True:
        draft = Draft()
        names = [*chosen, *(name for name in services if name in visiting)]
        members = [services[name] for name in names if services[name].provider is None]
        networks = plan_networks(draft, stack, observed, members)
        volumes = plan_volumes(draft, desired, stack, observed, members)
        found = {*visiting, *_users_of_remade(observed, networks, volumes)} & services.keys()
        found |= namespace_children(services, {*chosen, *found})
        found = (found | _missing_owners(services, observed, found)) - {*chosen}
        if found == visiting:
            return _Resources(draft, networks, volumes, visiting)
        visiting = found


def _missing_owners(services: Mapping[str, Service], observed: Observed, guests: set[str]) -> set[str]:
    """Services in whose namespaces ``guests`` live, and whose containers do not run: when a guest starts, they must."""
    there = {item.service for item in observed.containers if not item.oneoff}
    running = {item.service for item in observed.containers if item.live and not item.oneoff}
    owners = {owner for name in guests & there for owner in namespace_parents(services[name])}
    return owners & services.keys() & there - running


def _used(container: ObservedContainer, networks: dict[str, Resource], volumes: dict[str, Resource]) -> list[Resource]:
    """What of all that is made anew ``container`` uses."""
    used = [networks[key] for key in container.networks if key in networks and networks[key].remade]
    mounted = set(container.volumes.values())
    return used + [item for item in volumes.values() if item.remade and item.name in mounted]


def _users_of_remade(observed: Observed, networks: dict[str, Resource], volumes: dict[str, Resource]) -> set[str]:
    if not any(item.remade for item in (*networks.values(), *volumes.values())):
        return set()
    return {item.service for item in observed.containers if _used(item, networks, volumes)}


def _check_remade(observed: Observed, services: set[str], going: set[str], found: _Resources) -> None:
    """Raises PlanRefused when something must be made anew that a container outside the plan uses."""
    for container in observed.containers:
        if container.id in going or (container.service in services and not container.oneoff):
            continue
        used = _used(container, found.networks, found.volumes)
        if used:
            raise PlanRefused(
                f"cannot make {used[0].name} anew: container {container.name} uses it, "
                "which is of no service that this stack file starts",
                hint="stop and remove it first; --remove-orphans removes those whose service is gone from the file",
            )


def _tell_hopeless(draft: Draft, works: Mapping[str, Work], services: Mapping[str, Service]) -> None:
    """Who waits for the end of something that is started again whenever it ends waits for ever."""
    for work in works.values():
        for edge in work.edges if work.begins else ():
            needed = services.get(edge.service)
            if needed is None or edge.condition != COMPLETED or needed.stackup.schedule:
                continue
            if starts_again(needed):
                draft.notice(
                    f"{work.name} waits until {needed.name} has completed, which can never be: "
                    f"its restart policy starts {needed.name} again whenever it ends"
                )


def _orphans(
    draft: Draft,
    desired: Desired,
    stack: Stack,
    observed: Observed,
    orphans: list[ObservedContainer],
    works: dict[str, Work],
) -> None:
    if orphans and not desired.remove_orphans:
        names = listed(sorted(item.name for item in orphans))
        draft.notice(f"{names}: of no service in the stack file; remove with --remove-orphans")
        return
    if desired.remove_orphans:
        tell_others(draft, stack, observed)
    for container in sorted(orphans, key=lambda item: (item.service, item.number, item.id)):
        work = works.setdefault(container.service, Work(container.service, None))
        reason = f"service {container.service} is not in the stack file"
        work.replicas.append(
            Replica(Fate.REMOVE, container.service, container.number, container.name, container, reason)
        )
