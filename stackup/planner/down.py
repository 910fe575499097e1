"""``down`` and ``rm``: take away what was recorded, whether or not the stack file still names it."""

from __future__ import annotations

from collections.abc import Sequence

from stackup.model.observed import Observed, ObservedContainer, ObservedVolume
from stackup.model.plan import Plan, RemoveContainer, RemoveNetwork, RemoveVolume, StopContainer
from stackup.planner.desired import Desired
from stackup.planner.draft import Draft
from stackup.planner.order import ServiceGraph
from stackup.planner.selection import recorded_scope


def plan_down(desired: Desired, observed: Observed) -> Plan:
    """Containers, then networks, with ``remove_volumes`` also volumes; never external ones, never images.

    With services named, only their containers and what nobody else uses.
    """
    containers, graph = recorded_scope(desired, observed)
    position = {name: index for index, name in enumerate(reversed(list(graph)))}
    containers.sort(key=lambda item: position[item.service])
    draft = Draft()
    reason = f"down {' '.join(desired.services)}".strip()
    stops = add_stops(draft, desired, containers, graph, reason)
    removes = _add_removes(draft, desired, containers, stops, reason)
    staying = [item for item in observed.containers if item.id not in removes]
    for network in sorted(observed.networks, key=lambda item: item.key):
        users = [removes[item.id] for item in containers if network.key in item.networks]
        in_use = any(network.key in item.networks for item in staying)
        if network.external or in_use or (desired.services and not users):
            continue
        name = network.name
        draft.after(draft.add(RemoveNetwork(f"remove network {name}", reason, key=network.key, name=name)), users)
    if desired.remove_volumes:
        _add_volumes(draft, desired, observed.volumes, containers, staying, removes)
    return draft.finish(observed.project)


def plan_remove(desired: Desired, observed: Observed) -> Plan:
    """``rm``: only what does not run, unless it is to be stopped first."""
    containers, graph = recorded_scope(desired, observed)
    draft = Draft()
    stops = add_stops(draft, desired, containers, graph, "asked for") if desired.stop_first else {}
    found = containers if desired.stop_first else [item for item in containers if not item.live]
    _add_removes(draft, desired, found, stops, "asked for")
    return draft.finish(observed.project)


def add_stops(
    draft: Draft, desired: Desired, containers: Sequence[ObservedContainer], graph: ServiceGraph, reason: str
) -> dict[str, str]:
    """Dependants before what they need, siblings at the same time. Answers container id -> action id."""
    by_service: dict[str, list[str]] = {}
    stops = {}
    position = {name: index for index, name in enumerate(reversed(list(graph)))}
    twins = _twins(containers)
    for item in sorted(containers, key=lambda item: (position[item.service], item.number, item.id)):
        if item.live:
            action = StopContainer(
                f"stop {_name(item, twins)}",
                reason,
                service=item.service,
                number=item.number,
                name=item.name,
                container_id=item.id,
                timeout=desired.timeout,
            )
            stops[item.id] = draft.add(action)
            by_service.setdefault(item.service, []).append(action.id)
    above: dict[str, list[str]] = {}  # service -> the nearest stops among those that depend on it
    for name in reversed(list(graph)):
        found: dict[str, None] = {}
        for dependant in graph.dependants[name]:
            found.update(dict.fromkeys(by_service.get(dependant) or above[dependant]))
        above[name] = list(found)
        for stop in by_service.get(name, ()):
            draft.after(stop, above[name])
    return stops


def _add_removes(
    draft: Draft, desired: Desired, containers: Sequence[ObservedContainer], stops: dict[str, str], reason: str
) -> dict[str, str]:
    """Container id -> action id."""
    removes = {}
    twins = _twins(containers)
    for item in containers:
        action = RemoveContainer(
            f"remove {_name(item, twins)}",
            reason,
            (stops[item.id],) if item.id in stops else (),
            service=item.service,
            number=item.number,
            name=item.name,
            container_id=item.id,
            volumes=desired.remove_volumes,
        )
        removes[item.id] = draft.add(action)
    return removes


def _add_volumes(
    draft: Draft,
    desired: Desired,
    volumes: Sequence[ObservedVolume],
    containers: Sequence[ObservedContainer],
    staying: Sequence[ObservedContainer],
    removes: dict[str, str],
) -> None:
    """Anonymous volumes of a container go with it; others, and those that were left over, by themselves."""
    with_container = {name for item in containers for name in item.anonymous_volumes}
    for volume in sorted(volumes, key=lambda item: item.name):
        users = [removes[item.id] for item in containers if volume.name in item.volumes.values()]
        in_use = any(volume.name in item.volumes.values() for item in staying)
        if volume.external or in_use or volume.name in with_container or (desired.services and not users):
            continue
        action = RemoveVolume(f"remove volume {volume.name}", "--volumes", key=volume.key, name=volume.name)
        draft.after(draft.add(action), users)


def _twins(containers: Sequence[ObservedContainer]) -> set[str]:
    """Names that an unfinished replacement left twice."""
    names = [item.name for item in containers]
    return {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()


def _name(container: ObservedContainer, twins: set[str]) -> str:
    return f"{container.name} {container.id[:12]}" if container.name in twins else container.name
