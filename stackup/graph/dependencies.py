"""``Dependencies``: order, generations, dependants and circles of a stack's services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from stackup.base.values import frozen
from stackup.model.stack import Condition, Service, Stack

if TYPE_CHECKING:
    import networkx as nx


@frozen
class Edge:
    """``dependant`` needs ``dependency`` to have reached ``condition`` before it starts."""

    dependant: str
    dependency: str
    condition: Condition = "service_started"
    restart: bool = False
    required: bool = True


def edges_of(services: Mapping[str, Service]) -> tuple[Edge, ...]:
    """All edges between services that exist, in the order of the file."""
    return tuple(
        Edge(name, other, item.condition, item.restart, item.required)
        for name, service in services.items()
        for other, item in service.depends_on.items()
        if other in services
    )


def find_cycle(services: Mapping[str, Service]) -> tuple[str, ...]:
    """One circle as a path that ends where it began (``a, b, a``); empty when there is none."""
    import networkx as nx

    try:
        circle = nx.find_cycle(_digraph(services, edges_of(services)))
    except nx.NetworkXNoCycle:
        return ()
    return (*(edge[0] for edge in circle), circle[0][0])


def _digraph(services: Iterable[str], edges: Iterable[Edge]) -> nx.DiGraph[str]:
    """Edges lead from the dependant to what it needs."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(services)
    graph.add_edges_from((edge.dependant, edge.dependency) for edge in edges)
    return graph


class Dependencies:
    """The services of a stack in dependency order. Equal stacks give equal answers: ties are broken by name.

    Raises ValueError for a circle; ``stackfile`` has refused those with their lines before.
    """

    def __init__(self, stack: Stack) -> None:
        import networkx as nx

        self.edges = edges_of(stack.services)
        self._graph = _digraph(stack.services, self.edges)
        if not nx.is_directed_acyclic_graph(self._graph):
            raise ValueError(f"services depend on each other in a circle: {' -> '.join(find_cycle(stack.services))}")
        self._needs = {name: tuple(edge for edge in self.edges if edge.dependant == name) for name in stack.services}

    def order(self) -> tuple[str, ...]:
        """Every service after all that it needs."""
        import networkx as nx

        return tuple(nx.lexicographical_topological_sort(self._graph.reverse(copy=False)))

    def generations(self) -> tuple[tuple[str, ...], ...]:
        """Groups that can start at the same time, first group first."""
        import networkx as nx

        return tuple(tuple(sorted(group)) for group in nx.topological_generations(self._graph.reverse(copy=False)))

    def needs(self, service_name: str) -> tuple[Edge, ...]:
        """The direct dependencies of a service."""
        return self._needs[service_name]

    def dependencies(self, service_names: Iterable[str]) -> frozenset[str]:
        """Everything that the services need, directly or not; they themselves only where others of them need them."""
        import networkx as nx

        return frozenset(other for name in service_names for other in nx.descendants(self._graph, name))

    def dependants(self, service_names: Iterable[str]) -> frozenset[str]:
        """Everything that needs one of the services, directly or not."""
        import networkx as nx

        return frozenset(other for name in service_names for other in nx.ancestors(self._graph, name))
