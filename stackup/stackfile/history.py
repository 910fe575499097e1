"""What stood at a path before: the values that merging replaced, as the nodes remember them (``Node.shadow``)."""

from __future__ import annotations

from collections.abc import Iterator

from stackup.stackfile.nodes import Node

MAX_VERSIONS = 500


def trail(node: Node, path: str) -> list[tuple[Node, str]]:
    """The nodes from ``node`` as far down ``path`` as there are any, each with what is left of the path below it."""
    best = [(node, path)]
    for key, child in _children(node) if path else ():
        if path != key and not path.startswith(f"{key}."):
            continue
        found = [(node, path), *trail(child, path[len(key) + 1 :])]
        if not found[-1][1]:
            return found
        best = max(best, found, key=len)
    return best


def versions(node: Node, path: str) -> Iterator[Node]:
    """What stands at ``path`` below ``node``, if anything, and what stood there before, newest first.

    An item of a list has no past of its own where the whole list was replaced: the older list is answered.
    """
    seen: set[int] = set()
    stack = [(node, path)]
    while stack and len(seen) < MAX_VERSIONS:
        steps = trail(*stack.pop())
        last, left = steps[-1]
        if not left and id(last) not in seen:
            seen.add(id(last))
            yield last
        for above, below in steps:  # what is nearest to the value comes last, and is taken up first
            if above.shadow is not None:
                stack.append((above.shadow, "" if type(above.value) is list else below))


def left_out(node: Node) -> Iterator[str]:
    """The keys of a mapping that was replaced as a whole (``!override``) which its new value does not have."""
    if type(node.value) is not dict:
        return
    seen = set(node.value)
    shadow = node.shadow
    while shadow is not None:
        for key in shadow.value if type(shadow.value) is dict else ():
            if key not in seen:
                seen.add(key)
                yield key
        shadow = shadow.shadow


def replaced_whole(node: Node) -> bool:
    """True for a list that took the place of another and stands in one file: a value of its own, not many."""
    return (
        type(node.value) is list
        and node.shadow is not None
        and all(item.source is node.source and item.shadow is None for item in node.value)
    )


def in_one_place(node: Node, root: Node) -> bool:
    """True when everything below stands where ``root`` stands and nothing of it was filled in."""
    if (node.line, node.column, node.source) != (root.line, root.column, root.source):
        return False
    if node is not root and node.origin is not None and node.origin.reason:
        return False
    return all(in_one_place(child, root) for _, child in _children(node))


def _children(node: Node) -> Iterator[tuple[str, Node]]:
    if type(node.value) is dict:
        yield from node.value.items()
    elif type(node.value) is list:
        yield from ((str(index), child) for index, child in enumerate(node.value))
