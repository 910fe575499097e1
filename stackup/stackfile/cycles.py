"""Circles among services, found while the edges still know their lines."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from stackup.stackfile.check import children
from stackup.stackfile.nodes import Node
from stackup.stackfile.problems import Problems


def check_cycles(services: Mapping[str, Node], problems: Problems) -> None:
    """Reports every service circle once, as the path with the lines that make each edge."""
    edges = {
        name: {other: node for other, node in children(service.get("depends_on")).items() if other in services}
        for name, service in services.items()
    }
    done: set[str] = set()
    for start in edges:
        if start in done:
            continue
        for cycle in _cycles(start, edges, done):
            _report(cycle, edges, problems)


def _cycles(start: str, edges: Mapping[str, Mapping[str, Node]], done: set[str]) -> list[list[str]]:
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


def _report(cycle: list[str], edges: Mapping[str, Mapping[str, Node]], problems: Problems) -> None:
    loop = [*cycle, cycle[0]]
    steps = [(name, other, edges[name][other]) for name, other in pairwise(loop)]
    first = steps[0][2]
    problems.add(
        first,
        f"cannot order the services: they depend on each other in a circle, {' -> '.join(loop)}",
        hint=problems.edges((f"{name} needs {other}", node, _at_key(node)) for name, other, node in steps),
        at_key=_at_key(first),
    )


def _at_key(node: Node) -> bool:
    return bool(node.key_line) and node.key_line == node.line
