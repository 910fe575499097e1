"""Paths with ``*`` for names and items, as the tables of attributes write them, and what they match in a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stackup.stackfile.nodes import Node


def matches(node: Node, names: Sequence[str], path: str = "") -> Iterator[tuple[str, Node]]:
    """Every node that ``names`` lead to below ``node``, with its path from there (``.driver``, ``[0].target``)."""
    if not names:
        yield path, node
        return
    first, rest = names[0], names[1:]
    children: list[tuple[str, Node]] = []
    if type(node.value) is dict:
        children = (
            [(f".{key}", child) for key, child in node.value.items()]
            if first == "*"
            else [(f".{first}", node.value[first])]
            if first in node.value
            else []
        )
    elif first == "*" and type(node.value) is list:
        children = [(f"[{index}]", child) for index, child in enumerate(node.value)]
    for step, child in children:
        yield from matches(child, rest, f"{path}{step}")
