"""``down`` and ``rm``: take away what was recorded, as far as the stack file is its own; without one, all of it."""

from __future__ import annotations

from collections.abc import Sequence

from stackup.model.observed import Observed, ObservedContainer, ObservedVolume
from stackup.model.plan import Plan, RemoveContainer, RemoveNetwork, RemoveVolume, StopContainer
from stackup.planner.desired import Desired
from stackup.planner.draft import Draft
from stackup.planner.order import ServiceGraph
from stackup.planner.orphans import find_orphans
from stackup.planner.selection import recorded_scope
from stackup.planner.words import listed


def plan_down(desired: Desired, observed: Observed) -> Plan:
    """Containers, then networks, with ``remove_volumes`` also volumes; never external ones, never images.

    With a stack, only containers of its services, those that no profile enables included, and what nobody else uses;
    with ``remove_orphans`` all there are (docker/compose ``pkg/compose/down.go``). With services named, only theirs.
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
        others = [item.name for item in staying if network.key in item.networks]
        if network.external or (desired.services and not users):
            continue
        if not others:
            name = network.name
            draft.after(draft.add(RemoveNetwork(f"remove network {name}", reason, key=network.key, name=name)), users)
        elif users and not desired.services:
            draft.notice(f"network {network.name} stays: {listed(sorted(others))} {'use' if others[1:] else 'uses'} it")
    if desired.remove_volumes:
        _add_volumes(draft, desired, observed.volumes, containers, staying, removes)
    if desired.stack and not (desired.services or desired.remove_orphans):
        orphans = find_orphans(desired.stack, observed)
        if orphans:
            names = listed(sorted(item.name for item in orphans))
            draft.notice(f"{names}: of no service in the stack file; remove with --remove-orphans")
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
    """Anonymous volumes of a container go with it; others, and those that were left over, by themselves. What neither
    the stack nor a container that goes names may be another file's data, and stays."""
    stack = desired.stack
    mine = {item.name for item in stack.volumes.values()} if stack and not desired.remove_orphans else None
    with_container = {name for item in containers for name in item.anonymous_volumes}
    for volume in sorted(volumes, key=lambda item: item.name):
        users = [removes[item.id] for item in containers if volume.name in item.volumes.values()]
        in_use = any(volume.name in item.volumes.values() for item in staying)
        if volume.external or in_use or volume.name in with_container or (desired.services and not users):
            continue
        if not (mine is None or users or volume.anonymous or volume.name in mine):
            draft.notice(f"volume {volume.name} stays: it is not in the stack file; remove with --remove-orphans")
            continue
        action = RemoveVolume(f"remove volume {volume.name}", "--volumes", key=volume.key, name=volume.name)
        draft.after(draft.add(action), users)


def _twins(containers: Sequence[ObservedContainer]) -> set[str]:
    """Names that an unfinished replacement left twice."""
    names = [item.name for item in containers]
    return {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()


def _name(container: ObservedContainer, twins: set[str]) -> str:
    return f"{container.name} {container.id[:12]}" if container.name in twins else container.name
