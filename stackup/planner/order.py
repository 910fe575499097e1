"""Who depends on whom, and in which order services come: from the stack file, or from what was recorded.

Dependencies are ``depends_on`` and what implies one: links, volumes_from, and namespaces shared with ``service:NAME``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stackup.base.values import frozen
from stackup.model.observed import ObservedContainer
from stackup.model.references import NAMESPACES, linked, shared_with, volumes_of
from stackup.model.stack import Service

STARTED = "service_started"
HEALTHY = "service_healthy"
COMPLETED = "service_completed_successfully"


@frozen
class Edge:
    """``service``: the one that is needed. ``namespace``: one of its namespaces is shared."""

    service: str
    condition: str = STARTED
    required: bool = True
    restart: bool = False
    namespace: bool = False


def edges_of(service: Service) -> tuple[Edge, ...]:
    """In the order of the file, implied ones last."""
    shared = namespace_parents(service)
    edges = {
        name: Edge(name, item.condition, item.required, item.restart, name in shared)
        for name, item in service.depends_on.items()
    }
    for name in (*shared, *volume_parents(service), *_linked(service.links)):
        edges.setdefault(name, Edge(name, namespace=name in shared))
    edges.pop(service.name, None)
    return tuple(edges.values())


def namespace_parents(service: Service) -> tuple[str, ...]:
    """Services whose namespaces ``service`` joins."""
    return tuple(filter(None, (shared_with(getattr(service, name)) for name in NAMESPACES)))


def volume_parents(service: Service) -> tuple[str, ...]:
    """Services whose volumes ``service`` mounts (``NAME`` or ``NAME:ro``)."""
    return tuple(filter(None, map(volumes_of, service.volumes_from)))


def _linked(links: Iterable[str]) -> Iterator[str]:
    return map(linked, links)


def recorded_edges(config: Mapping[str, Any]) -> tuple[Edge, ...]:
    """The same from ``ObservedContainer.config``."""
    shared = [name for key in NAMESPACES if (name := shared_with(str(config.get(key, ""))))]
    edges = {}
    for name, item in (config.get("depends_on") or {}).items():
        condition, required = item.get("condition", STARTED), item.get("required", True)
        edges[name] = Edge(name, condition, required, item.get("restart", False), name in shared)
    volumes = filter(None, map(volumes_of, config.get("volumes_from", ())))
    for name in (*shared, *volumes, *_linked(config.get("links", ()))):
        edges.setdefault(name, Edge(name, namespace=name in shared))
    return tuple(edges.values())


@frozen
class ServiceGraph:
    """``edges`` by service, needed ones first: iterating gives an order in which services can start."""

    edges: Mapping[str, tuple[Edge, ...]]
    dependants: Mapping[str, tuple[str, ...]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.edges)

    @classmethod
    def of(cls, edges: Mapping[str, tuple[Edge, ...]]) -> ServiceGraph:
        """Leaves out edges to services that ``edges`` does not know. Cycles, which ``graph`` reports for stack files
        and which records may hold, are broken where they are met."""
        known = {name: tuple(edge for edge in found if edge.service in edges) for name, found in edges.items()}
        ordered: dict[str, tuple[Edge, ...]] = {}
        seen: set[str] = set()
        for root in known:
            stack = [(root, False)]
            while stack:
                name, done = stack.pop()
                if done:
                    ordered[name] = tuple(edge for edge in known[name] if edge.service in ordered)
                elif name not in seen:
                    seen.add(name)
                    stack.append((name, True))
                    stack.extend((edge.service, False) for edge in reversed(known[name]) if edge.service not in seen)
        dependants: dict[str, list[str]] = {name: [] for name in ordered}
        for name, found in ordered.items():
            for edge in found:
                dependants[edge.service].append(name)
        return cls(ordered, {name: tuple(items) for name, items in dependants.items()})

    def closure(self, names: Iterable[str]) -> set[str]:
        """``names`` and all that they need, directly or not."""
        return self._reach(names, {name: tuple(edge.service for edge in found) for name, found in self.edges.items()})

    def _reach(self, names: Iterable[str], next_of: Mapping[str, tuple[str, ...]]) -> set[str]:
        found: set[str] = set()
        waiting = [name for name in names if name in self.edges]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(next_of[name])
        return found


def graph_of(services: Mapping[str, Service], containers: Iterable[ObservedContainer] = ()) -> ServiceGraph:
    """The stack's services, and those that only records know (removed from the file, or no file at all)."""
    edges = {name: edges_of(service) for name, service in services.items()}
    for container in sorted(containers, key=lambda item: (item.service, item.number)):
        if container.service not in edges:
            edges[container.service] = recorded_edges(container.config)
    return ServiceGraph.of(edges)
