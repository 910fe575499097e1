"""Circles among services, found while the edges still know their lines."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from stackup.stackfile.check import children
from stackup.stackfile.finish import contexts, is_implied
from stackup.stackfile.nodes import Node
from stackup.stackfile.problems import Problems

Edges = Mapping[str, Mapping[str, Node]]


def check_cycles(services: Mapping[str, Node], problems: Problems) -> None:
    """Reports every circle of services once, as the path with the lines that make each edge.

    A service starts after those it depends on, and its image is built after those it is made of: two orders, as a
    service may well run after one that is built from it.
    """
    starts = {
        name: {other: node for other, node in children(service.get("depends_on")).items() if other in services}
        for name, service in services.items()
    }
    builds = {name: found for name, service in services.items() if (found := _bases(service, services))}
    _check(starts, "order the services: they depend on each other", "needs", problems)
    if builds:
        _check({name: builds.get(name, {}) for name in services}, *_BUILDS, problems)


_BUILDS = ("build the services: they are built from each other", "is built from")


def _bases(service: Node, services: Mapping[str, Node]) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for _, other, node in contexts(service):
        if other in services:
            found.setdefault(other, node)
    return found


def _check(edges: Edges, what: str, verb: str, problems: Problems) -> None:
    done: set[str] = set()
    for start in edges:
        if start in done:
            continue
        for cycle in _cycles(start, edges, done):
            _report(cycle, edges, what, verb, problems)


def _cycles(start: str, edges: Edges, done: set[str]) -> list[list[str]]:
    """Depth first without recursion: an edge back into the current path closes a circle."""
    found: list[list[str]] = []
    path: list[str] = [start]
    depth = {start: 0}
    stack = [iter(edges[start])]
    while stack:
        following = next(stack[-1], None)
        if following is None:
            stack.pop()
            name = path.pop()
            del depth[name]
            done.add(name)
        elif following in depth:
            found.append(path[depth[following] :])
        elif following not in done:
            depth[following] = len(path)
            path.append(following)
            stack.append(iter(edges[following]))
    return found


def _report(cycle: list[str], edges: Edges, what: str, verb: str, problems: Problems) -> None:
    loop = [*cycle, cycle[0]]
    steps = [(name, other, edges[name][other]) for name, other in pairwise(loop)]
    at_keys = verb == "needs"
    first = steps[0][2]
    problems.add(
        first,
        f"cannot {what} in a circle, {' -> '.join(loop)}",
        hint=problems.edges((f"{name} {verb} {other}", node, at_keys and _at_key(node)) for name, other, node in steps),
        at_key=at_keys and _at_key(first),
    )


def _at_key(node: Node) -> bool:
    """An entry of ``depends_on`` is named by its key; where it follows from another attribute, by that one's value."""
    return bool(node.key_line) and not is_implied(node)
