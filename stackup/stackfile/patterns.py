"""Paths with ``*`` for names and items, as the tables of attributes write them, and what they match in a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stackup.stackfile.nodes import Node


def matches(node: Node, names: Sequence[str], path: str = "") -> Iterator[tuple[str, Node]]:
    """Every node that ``names`` lead to below ``node``, with its path from there."""
    if not names:
        yield path.removeprefix("."), node
        return
    first, rest = names[0], names[1:]
    children: list[tuple[object, Node]] = []
    if type(node.value) is dict:
        children = (
            list(node.value.items()) if first == "*" else [(first, node.value[first])] if first in node.value else []
        )
    elif first == "*" and type(node.value) is list:
        children = list(enumerate(node.value))
    for key, child in children:
        yield from matches(child, rest, f"{path}.{key}")
