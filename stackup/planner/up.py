"""``up`` and ``create``: make what is into what should be.

First every service's containers get their fate (``fates``), then the actions are laid out (``layout``).
"""

from __future__ import annotations

from collections.abc import Mapping

from stackup.base.errors import PlanRefused
from stackup.model.observed import Observed, ObservedContainer
from stackup.model.plan import Plan
from stackup.model.stack import Service, Stack
from stackup.planner.desired import Desired, Verb
from stackup.planner.draft import Draft
from stackup.planner.fates import Fates
from stackup.planner.images import Images
from stackup.planner.layout import Layout
from stackup.planner.order import graph_of
from stackup.planner.replicas import Fate, Replica
from stackup.planner.selection import active_services, check_names, check_scale, namespace_children, selected
from stackup.planner.storage import Resource, plan_networks, plan_volumes, used_networks, used_volumes
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
    draft = Draft()
    images = Images(draft, desired, observed, services, [name for name in graph if name in chosen])
    for name in graph:
        if name in chosen:
            images.asked(name)
    members = [services[name] for name in graph if name in chosen and services[name].provider is None]
    networks = plan_networks(draft, stack, observed, members)
    volumes = plan_volumes(draft, desired, stack, observed, members)
    visiting = _users_of_remade(services, networks, volumes) - chosen
    visiting |= namespace_children(services, chosen | visiting)
    _check_remade(orphans if not desired.remove_orphans else [], networks, volumes)
    works = {}
    for name in graph:
        if name in services and (name in chosen or name in visiting):
            targeted = not desired.services or name in desired.services
            works[name] = Work(name, services[name], graph.edges[name], targeted, name not in chosen)
    fates = Fates(desired, stack, observed, works, networks, volumes, images)
    fates.decide()
    _orphans(draft, desired, orphans, works)
    layout = Layout(draft, desired, observed, graph, works, networks, volumes, images)
    layout.add(start=desired.verb is Verb.UP)
    return draft.finish(observed.project)


def find_orphans(stack: Stack, observed: Observed) -> list[ObservedContainer]:
    """Containers of services that the stack does not have; finished one-off containers are none."""
    known = {*stack.services, *stack.disabled}
    return [item for item in observed.containers if item.service not in known and not item.oneoff]


def _users_of_remade(
    services: Mapping[str, Service], networks: dict[str, Resource], volumes: dict[str, Resource]
) -> set[str]:
    pairs = [(networks, used_networks(services.values())), (volumes, used_volumes(services.values()))]
    return {
        name
        for resources, used in pairs
        for key, names in used.items()
        if key in resources and resources[key].remade
        for name in names
    }


def _check_remade(
    orphans: list[ObservedContainer], networks: dict[str, Resource], volumes: dict[str, Resource]
) -> None:
    """Raises PlanRefused when something must be made anew that an orphan still uses."""
    volume_names = {item.name: item for item in volumes.values() if item.remade}
    for container in orphans:
        used = [networks[key] for key in container.networks if key in networks and networks[key].remade]
        used += [volume_names[name] for name in container.volumes.values() if name in volume_names]
        if used:
            raise PlanRefused(
                f"cannot make {used[0].name} anew: container {container.name} uses it, whose service "
                f"{container.service} is not in the stack file",
                hint="remove it with --remove-orphans",
            )


def _orphans(draft: Draft, desired: Desired, orphans: list[ObservedContainer], works: dict[str, Work]) -> None:
    if orphans and not desired.remove_orphans:
        names = listed(sorted(item.name for item in orphans))
        draft.notice(f"{names}: of no service in the stack file; remove with --remove-orphans")
        return
    for container in sorted(orphans, key=lambda item: (item.service, item.number, item.id)):
        work = works.setdefault(container.service, Work(container.service, None))
        reason = f"service {container.service} is not in the stack file"
        work.replicas.append(
            Replica(Fate.REMOVE, container.service, container.number, container.name, container, reason)
        )
