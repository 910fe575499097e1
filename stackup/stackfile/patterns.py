"""Paths with ``*`` for names and items, as the tables of attributes write them, and what they match in a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from stackup.stackfile.nodes import Node

T = TypeVar("T")


def matches(node: Node, names: Sequence[str], path: str = "") -> list[tuple[str, Node]]:
    """Every node that ``names`` lead to below ``node``, with its path from there (``.driver``, ``[0].target``)."""
    found = [(path, node)]
    for name in names:
        below: list[tuple[str, Node]] = []
        for where, parent in found:
            value = parent.value
            if type(value) is dict:
                if name == "*":
                    below += [(f"{where}.{key}", child) for key, child in value.items()]
                elif name in value:
                    below.append((f"{where}.{name}", value[name]))
            elif name == "*" and type(value) is list:
                below += [(f"{where}[{index}]", child) for index, child in enumerate(value)]
        if not below:
            return below
        found = below
    return found


class Branch(Generic[T]):
    """Many patterns at once: what holds at its end (``leaves``) and what comes after each name (``below``).

    A large stack is asked about thousands of times whether anything is unusual, and nearly nothing is.
    """

    __slots__ = ("below", "leaves")

    def __init__(self) -> None:
        self.leaves: list[T] = []
        self.below: dict[str, Branch[T]] = {}

    def add(self, names: Sequence[str], leaf: T) -> None:
        branch = self
        for name in names:
            branch = branch.below.setdefault(name, Branch())
        branch.leaves.append(leaf)

    def meets(self, node: Node, holds: Callable[[Any, T], bool]) -> bool:
        """Whether ``holds`` for some value at the end of a pattern and what was added for that."""
        value = node.value
        for leaf in self.leaves:
            if holds(value, leaf):
                return True
        if type(value) is dict:
            for name, branch in self.below.items():
                if name == "*":
                    for child in value.values():
                        if branch.meets(child, holds):
                            return True
                elif name in value and branch.meets(value[name], holds):
                    return True
        elif type(value) is list and "*" in self.below:
            branch = self.below["*"]
            for child in value:
                if branch.meets(child, holds):
                    return True
        return False
