"""From fates to actions: what is created, stopped, removed, started and waited for, and in which order.

Order: everything is created first and in parallel; then old containers stop, dependants before what they need; then
new ones start, dependants after what they need. A replaced container is stopped only once its successor exists.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stackup.model.observed import Observed, ObservedContainer, Phase
from stackup.model.plan import (
    CreateContainer,
    RemoveContainer,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    UpdateContainer,
)
from stackup.planner.desired import Desired
from stackup.planner.draft import Draft
from stackup.planner.gates import Gates
from stackup.planner.images import Images
from stackup.planner.live import given_up
from stackup.planner.order import ServiceGraph, namespace_parents, volume_parents
from stackup.planner.replicas import ENDING, Fate, Replica
from stackup.planner.rolling import Rolling, roll, rolling_of
from stackup.planner.storage import Resource
from stackup.planner.work import Step, Work, ends


class Layout:
    def __init__(
        self,
        draft: Draft,
        desired: Desired,
        observed: Observed,
        graph: ServiceGraph,
        works: dict[str, Work],
        networks: dict[str, Resource],
        volumes: dict[str, Resource],
        images: Images | None,
    ) -> None:
        self._draft = draft
        self._desired = desired
        self._graph = graph
        self._works = works
        self._networks = networks
        self._volumes = volumes
        self._images = images
        self._counts: dict[str, int] = {}
        for container in observed.containers:
            self._counts[container.name] = self._counts.get(container.name, 0) + 1
        self._removed: dict[str, list[str]] = {}  # name of a container -> its removal
        self._ports: dict[tuple[str, str], list[str]] = {}  # published port, protocol -> stops that set it free

    def add(self, *, start: bool) -> None:
        """``start`` False leaves out what begins to run."""
        gates = Gates(self._draft, self._desired, self._works) if start else None
        for work in self._works.values():
            rolling = self._rolling(work) if start else None
            work.rolling, work.start_first = rolling is not None, rolling is not None and rolling.start_first
            for replica in work.replicas:
                self._replica(work, replica, start)
            if rolling is not None:
                roll(self._draft, work, rolling)
            if gates is not None:
                gates.add(work)
        for work in self._works.values():
            self._order_creates(work)
            self._order_stops(work)
            if gates is not None:
                self._order_starts(work, gates)
        self._order_resources()

    def _rolling(self, work: Work) -> Rolling | None:
        """None also where old and new containers cannot live side by side, or something lives in their namespaces."""
        service = work.service
        count = sum((item.fate is Fate.REPLACE and item.begins) or item.on_trial for item in work.replicas)
        rolling = rolling_of(self._desired, service, count) if service is not None else None
        if rolling is None or service is None:
            return None
        guests = [
            name
            for name in self._graph.dependants.get(work.name, ())
            if any(edge.namespace and edge.service == work.name for edge in self._graph.edges[name])
        ]
        if work.remove_first or guests or namespace_parents(service):
            self._draft.notice(
                f"{work.name}: replaced at once, for its containers cannot exist beside their successors"
            )
            return None
        if rolling.start_first and any(port.published for port in service.ports):
            self._draft.notice(f"{work.name}: stopped before its successors start, for it publishes a port of its own")
            return replace(rolling, start_first=False)
        return rolling

    def _replica(self, work: Work, replica: Replica, start: bool) -> None:
        create = stop = remove = update = begun = ""
        old = replica.container
        if replica.fate in (Fate.CREATE, Fate.REPLACE) and replica.successor is None:
            create = self._create(work, replica)
        if old is not None and replica.fate in ENDING:
            stop = self._stop(work, replica, old)
            if replica.fate is not Fate.RESTART:
                remove = self._remove(work, replica, old, stop)
        if replica.update:
            update = self._update(work, replica, stop if replica.fate is Fate.RESTART else "")
        if create and remove:
            if work.remove_first:
                self._draft.after(create, [remove])
                self._draft.after(stop or remove, work.images)
            else:
                self._draft.after(stop or remove, [create])
        if start and replica.begins:
            overlap = work.start_first and replica.fate is Fate.REPLACE
            first = (create, update) if overlap else (create, stop, remove, update)
            begun = self._start(work, replica, [item for item in first if item])
        if start and work.rolling and (replica.on_trial or (replica.fate is Fate.REPLACE and replica.begins)):
            new = replica.lasting
            tried = new is not None and new.phase is not Phase.CREATED
            leaving = stop if replica.fate is Fate.REPLACE else ""
            work.steps.append(Step(replica.name, create, leaving, remove, begun, new.id if new else "", tried))

    def _update(self, work: Work, replica: Replica, stop: str) -> str:
        """After the networks that it is connected to anew; while it is stopped, where it is to be."""
        old, service = replica.lasting, work.service
        assert old is not None and service is not None
        networks = [self._networks[key].create for key in service.networks if key in self._networks]
        action = UpdateContainer(
            f"update {self._name(old)}",
            replica.update,
            tuple(item for item in (stop, *networks) if item),
            service=work.name,
            number=old.number,
            name=old.name,
            container_id=old.id,
            changes=replica.changes,
            shown=replica.shown,
        )
        ports = {"ports": [port.model_dump() for port in service.ports]}
        for key in given_up(old.config, ports):
            self._ports.setdefault(key, []).append(action.id)
        work.updates.append(self._draft.add(action))
        return action.id

    def _create(self, work: Work, replica: Replica) -> str:
        old = replica.container
        work.images = list(self._images.needed(work.name)) if self._images else []
        action = CreateContainer(
            f"create {replica.name}",
            replica.reason,
            tuple(work.images),
            service=work.name,
            number=replica.number,
            name=replica.name,
            replaces=old.id if old else "",
            inherit=not self._desired.renew_anonymous_volumes,
            on_trial=work.rolling and old is not None,
            changes=replica.changes,
            shown=replica.shown,
        )
        work.creates.append(self._draft.add(action))
        return action.id

    def _stop(self, work: Work, replica: Replica, old: ObservedContainer) -> str:
        if not old.live:
            return ""
        action = StopContainer(
            f"stop {self._name(old)}",
            "replaced" if replica.fate is Fate.REPLACE else replica.reason,
            service=work.name,
            number=old.number,
            name=old.name,
            container_id=old.id,
            timeout=self._desired.timeout,
            returns=replica.fate is Fate.RESTART and not replica.update,
        )
        for port in old.config.get("ports") or ():
            if port.get("published"):
                key = (str(port["published"]), str(port.get("protocol", "tcp")))
                self._ports.setdefault(key, []).append(action.id)
        work.stops.append(self._draft.add(action))
        return action.id

    def _remove(self, work: Work, replica: Replica, old: ObservedContainer, stop: str) -> str:
        action = RemoveContainer(
            f"remove {self._name(old)}",
            "replaced" if replica.fate is Fate.REPLACE else replica.reason,
            (stop,) if stop else (),
            service=work.name,
            number=old.number,
            name=old.name,
            container_id=old.id,
            volumes=replica.fate is Fate.REPLACE and self._desired.renew_anonymous_volumes,
        )
        self._removed.setdefault(old.name, []).append(action.id)
        work.removes.append(self._draft.add(action))
        return action.id

    def _start(self, work: Work, replica: Replica, after: list[str]) -> str:
        old = replica.lasting
        fresh = old is None
        paused = replica.fate is not Fate.RESTART and old is not None and old.phase is Phase.PAUSED
        kind = UnpauseContainer if paused else StartContainer
        now: dict[str, Any] = {"now": True} if self._desired.now and not paused else {}
        action = kind(
            f"{kind.verb} {replica.name}",
            "new" if fresh else replica.reason,
            tuple(after),
            service=work.name,
            number=replica.number,
            name=replica.name,
            container_id=old.id if old else "",
            **now,
        )
        work.starts.append(self._draft.add(action))
        return action.id

    def _name(self, container: ObservedContainer) -> str:
        return container.name if self._counts[container.name] == 1 else f"{container.name} {container.id[:12]}"

    def _order_creates(self, work: Work) -> None:
        if work.service is None or not work.creates:
            return
        service = work.service
        needed = [self._networks[key].create for key in service.networks if key in self._networks]
        mounts = [mount.source or "" for mount in service.volumes if mount.type == "volume"]
        needed += [self._volumes[key].create for key in mounts if key in self._volumes]
        for parent in (*namespace_parents(service), *volume_parents(service)):
            if parent in self._works:
                needed += self._works[parent].creates
                needed += self._works[parent].removes if self._works[parent].has(Fate.REMOVE) else []
        for create in work.creates:
            self._draft.after(create, [item for item in needed if item])

    def _order_stops(self, work: Work) -> None:
        """Dependants stop first. What is to start again stops only once all that it needs anew could be made."""
        if not work.stops:
            return
        first: list[str] = []
        for name in self._graph.dependants.get(work.name, ()):
            first += ends(self._works, name, lambda item: item.stops, lambda item: self._graph.dependants.get(item, ()))
        if work.has(Fate.RESTART, Fate.REPLACE):
            for edge in work.edges:
                first += ends(self._works, edge.service, _preparation, self._needed)
        for stop in work.stops:
            self._draft.after(stop, first)

    def _needed(self, name: str) -> list[str]:
        return [edge.service for edge in self._works[name].edges]

    def _order_starts(self, work: Work, gates: Gates) -> None:
        if not work.starts:
            return
        first = gates.before(work)
        for name in self._graph.dependants.get(work.name, ()):
            child = self._works.get(name)
            if child is not None and any(edge.namespace and edge.service == work.name for edge in child.edges):
                first += child.stops  # never is anybody left running in a namespace whose owner has started again
        ports = work.service.ports if work.service else ()
        for port in ports:
            freed = self._ports.get((str(port.published), port.protocol), []) if port.published else []
            first += [stop for stop in freed if not (work.rolling and stop in work.stops)]
        for start, replica in zip(work.starts, (item for item in work.replicas if item.begins), strict=True):
            self._draft.after(start, first)
            if not (work.start_first and replica.fate is Fate.REPLACE):
                self._draft.after(start, self._removed.get(replica.name, ()))

    def _order_resources(self) -> None:
        """A network or volume goes once all containers that use it have gone; a network also when they are stopped, to
        be connected to the next one."""
        for resources, by_network in ((self._networks, True), (self._volumes, False)):
            for resource in resources.values():
                if not resource.remade:
                    continue
                users = []
                for work in self._works.values():
                    for replica in work.replicas:
                        old = replica.container
                        if old is None or replica.fate not in ENDING:
                            continue
                        if resource.key in old.networks if by_network else resource.name in old.volumes.values():
                            users += self._leaving(replica, old)
                self._draft.after(resource.remove, users)

    def _leaving(self, replica: Replica, old: ObservedContainer) -> list[str]:
        verb = "stop" if replica.fate is Fate.RESTART else "remove"
        return [f"{verb} {self._name(old)}"]


def _preparation(work: Work) -> list[str]:
    if not work.has(Fate.REPLACE):
        return []
    return work.images if work.remove_first else work.creates
