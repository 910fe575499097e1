"""``stop``, ``start``, ``restart``, ``kill`` and ``pause``: of what exists; nothing is made or removed."""

from __future__ import annotations

from collections.abc import Callable

from stackup.base.errors import PlanRefused
from stackup.model.observed import Observed, ObservedContainer, Phase
from stackup.model.plan import KillContainer, PauseContainer, Plan, UnpauseContainer
from stackup.planner.desired import Desired, Verb
from stackup.planner.down import add_stops
from stackup.planner.draft import Draft
from stackup.planner.layout import Layout
from stackup.planner.order import COMPLETED, ServiceGraph
from stackup.planner.replicas import Fate, Replica, start_reason
from stackup.planner.selection import recorded_scope
from stackup.planner.work import Work, settle_followers

ASKED = "asked for"


def plan_stop(desired: Desired, observed: Observed) -> Plan:
    containers, graph = recorded_scope(desired, observed)
    draft = Draft()
    add_stops(draft, desired, containers, graph, ASKED)
    return draft.finish(observed.project)


def plan_kill(desired: Desired, observed: Observed) -> Plan:
    """All at once: a signal has no order."""
    containers, _ = recorded_scope(desired, observed)
    draft = Draft()
    for item in containers:
        if item.live:
            draft.add(
                KillContainer(
                    f"kill {item.name}",
                    ASKED,
                    service=item.service,
                    number=item.number,
                    name=item.name,
                    container_id=item.id,
                    signal=desired.signal,
                )
            )
    return draft.finish(observed.project)


def plan_pause(desired: Desired, observed: Observed) -> Plan:
    """``pause`` and ``unpause``: all at once. What is not running, or is paused already, refuses by itself."""
    containers, _ = recorded_scope(desired, observed)
    draft = Draft()
    kind = PauseContainer if desired.verb is Verb.PAUSE else UnpauseContainer
    for item in containers:
        if item.live:
            draft.add(
                kind(
                    f"{desired.verb} {item.name}",
                    ASKED,
                    service=item.service,
                    number=item.number,
                    name=item.name,
                    container_id=item.id,
                )
            )
    return draft.finish(observed.project)


def plan_start(desired: Desired, observed: Observed) -> Plan:
    """With what the named services need. A completed one-shot runs again only when it is named, and what has a
    schedule runs before its time with ``now``."""

    def fate(container: ObservedContainer, again: bool) -> tuple[Fate, str]:
        if desired.now and container.scheduled and container.phase is Phase.RESTARTING:
            return Fate.START, "asked for, before its time"
        if container.live and container.phase not in (Phase.STOPPING, Phase.PAUSED):
            return Fate.KEEP, ""
        return (Fate.START, start_reason(container)) if again else (Fate.KEEP, "")

    return _plan(desired, observed, fate, with_needed=not desired.no_deps)


def plan_restart(desired: Desired, observed: Observed) -> Plan:
    """Those named, and those that follow them (``depends_on.restart``, shared namespaces)."""

    def fate(container: ObservedContainer, again: bool) -> tuple[Fate, str]:
        if container.live:
            return Fate.RESTART, ASKED
        return (Fate.START, start_reason(container)) if again else (Fate.KEEP, "")

    return _plan(desired, observed, fate, with_needed=False)


def _plan(
    desired: Desired,
    observed: Observed,
    fate: Callable[[ObservedContainer, bool], tuple[Fate, str]],
    *,
    with_needed: bool,
) -> Plan:
    containers, graph = recorded_scope(desired, observed)
    _check_present(desired, containers)
    names = set(desired.services) or {item.service for item in containers}
    if with_needed:
        names = graph.closure(names)
    works = _works(desired, observed, graph)
    shots = {edge.service for edges in graph.edges.values() for edge in edges if edge.condition == COMPLETED}
    for name in names & works.keys():
        again = name in desired.services or name not in shots
        replicas = []
        for item in works[name].replicas:
            assert item.container is not None
            chosen, reason = fate(item.container, again or not item.container.completed)
            replicas.append(Replica(chosen, name, item.number, item.name, item.container, reason))
        works[name].replicas = replicas
        works[name].targeted = True
    if not desired.no_deps:
        settle_followers(works)
    draft = Draft()
    Layout(draft, desired, observed, graph, works, {}, {}, None).add(start=True)
    return draft.finish(observed.project)


def _works(desired: Desired, observed: Observed, graph: ServiceGraph) -> dict[str, Work]:
    """All services with what is there of them, untouched so far, in dependency order."""
    found: dict[str, list[ObservedContainer]] = {}
    for item in sorted(observed.containers, key=lambda item: (item.number, item.id)):
        if not item.oneoff and item.phase is not Phase.REMOVING:
            found.setdefault(item.service, []).append(item)
    works = {}
    for name in graph:
        if name not in found:
            continue
        service = desired.stack.services.get(name) if desired.stack else None
        work = works[name] = Work(name, service, graph.edges[name], visiting=True)
        work.replicas = [Replica(Fate.KEEP, name, item.number, item.name, item) for item in found[name]]
    return works


def _check_present(desired: Desired, containers: list[ObservedContainer]) -> None:
    """Raises PlanRefused when there is nothing that could be started."""
    present = {item.service for item in containers}
    missing = [name for name in desired.services if name not in present]
    if missing:
        raise PlanRefused(
            f"cannot {desired.verb} service {missing[0]}: it has no container", hint="stackup up makes it"
        )
    if not containers:
        raise PlanRefused(f"cannot {desired.verb}: the project has no containers", hint="stackup up makes them")
