"""One service inside a plan for ``up``: what becomes of its containers, and the ids of the actions that do it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from stackup.base.values import frozen
from stackup.model.observed import Health, ObservedContainer, Phase
from stackup.model.stack import Service
from stackup.planner.order import COMPLETED, HEALTHY, Edge
from stackup.planner.replicas import Fate, Replica


@frozen
class Step:
    """One container in place of another: ids of the actions, "" for those that are not needed. ``container_id``: of
    the new one, where it exists; ``begun``: it has been started before, and not been found good."""

    name: str
    create: str
    stop: str
    remove: str
    start: str
    container_id: str = ""
    begun: bool = False


@dataclass(slots=True)
class Work:
    """``service`` is None for one that only records know. ``targeted``: named by the user, or nobody was named.
    ``visiting``: only here because something it shares is made anew, or because somebody lives in it.
    ``remove_first``: old containers must be gone before new ones can be made. ``rolling``: its containers are replaced
    in batches. ``images``: builds and pulls that its creations wait for."""

    name: str
    service: Service | None
    edges: tuple[Edge, ...] = ()
    targeted: bool = True
    visiting: bool = False
    remove_first: bool = False
    replicas: list[Replica] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    creates: list[str] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    removes: list[str] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)
    updates: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    start_first: bool = False  # new containers run before the old ones are stopped
    rolling: bool = False

    def has(self, *fates: Fate) -> bool:
        return any(replica.fate in fates for replica in self.replicas)

    @property
    def begins(self) -> bool:
        """Something of it starts."""
        return any(replica.begins for replica in self.replicas)

    @property
    def empty(self) -> bool:
        """It will have no container: nothing to wait for."""
        return all(replica.fate is Fate.REMOVE for replica in self.replicas)

    def surviving(self) -> set[str]:
        """Ids of the containers that live on."""
        return {item.lasting.id for item in self.replicas if item.lasting}

    def satisfies(self, condition: str) -> bool:
        """True when, as observed and untouched by this plan, it already meets ``condition``."""
        if self.begins:
            return False
        kept = [item.lasting for item in self.replicas if item.lasting]
        if condition != COMPLETED and any(item.unproven for item in self.replicas):
            return False
        if condition == COMPLETED:
            return all(container.completed for container in kept)
        if condition == HEALTHY:
            return all(item.phase is Phase.RUNNING and item.health is Health.HEALTHY for item in kept)
        ready = (Health.NONE, Health.HEALTHY)
        return all(item.completed or (item.phase is Phase.RUNNING and item.health in ready) for item in kept)


def settle_followers(works: Mapping[str, Work]) -> None:
    """What the fates of some bring about for others, until nothing follows any more. ``works`` in dependency order."""
    while _follow_restarts(works) or _start_owners(works):
        pass


def _follow_restarts(works: Mapping[str, Work]) -> bool:
    """Running containers restart with what they depend on (``depends_on.restart``) or live in; in dependency order, so
    that one restart brings about the next. False when there are none."""
    followed = False
    for work in works.values():
        reason = ""
        for edge in work.edges:
            needed = works.get(edge.service)
            if needed is None:
                continue
            if edge.namespace and needed.has(Fate.START, Fate.RESTART):
                reason = f"lives in the namespaces of {edge.service}, which starts again"
            elif edge.restart and needed.has(Fate.REPLACE, Fate.RESTART):
                reason = f"{edge.service} is {'replaced' if needed.has(Fate.REPLACE) else 'restarted'}"
        if not reason:
            continue
        for index, item in enumerate(work.replicas):
            if item.fate is Fate.KEEP and item.container is not None and item.container.live:
                work.replicas[index] = replace(item, fate=Fate.RESTART, reason=reason)
                followed = True
    return followed


def _start_owners(works: Mapping[str, Work]) -> bool:
    """Whoever starts finds the owners of its namespaces running, also those that would have been left as they were.
    False when there are none of them."""
    found = False
    for work in reversed(list(works.values())):
        for edge in work.edges if work.begins else ():
            owner = works.get(edge.service)
            if not edge.namespace or owner is None or not owner.visiting:
                continue
            for index, item in enumerate(owner.replicas):
                reason = f"{work.name} lives in its namespaces"
                if item.idle:
                    owner.replicas[index] = replace(item, idle=False)
                elif item.fate is Fate.KEEP and item.container is not None and not _in_use(item.container):
                    owner.replicas[index] = replace(item, fate=Fate.START, reason=reason)
                else:
                    continue
                found = True
    return found


def _in_use(container: ObservedContainer) -> bool:
    return container.live and container.phase is not Phase.STOPPING


def ends(
    works: dict[str, Work], name: str, own: Callable[[Work], list[str]], beyond: Callable[[str], Iterable[str]]
) -> list[str]:
    """Actions of service ``name`` (picked by ``own``); where it has none, those of the services ``beyond`` it."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in seen or current not in works:
            continue
        seen.add(current)
        actions = own(works[current])
        if actions:
            found.update(dict.fromkeys(actions))
        else:
            waiting.extend(beyond(current))
    return list(found)
