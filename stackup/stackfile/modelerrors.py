"""The last look: plain data to the model, and what the model still refuses in a user's words."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from stackup.model.stack import Stack
from stackup.stackfile.nodes import Node, find
from stackup.stackfile.problems import Problems

Stack.model_rebuild()  # its validator costs 50 ms to build: with the imports, not with the first file


def validated(data: dict[str, Any], tree: Node, problems: Problems) -> Stack:
    """The forms have judged everything already; what the model still refuses is said in its place all the same."""
    try:
        return Stack.model_validate(data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            node = _nearest(tree, ".".join(map(str, item["loc"])))
            path = "".join(f"[{part}]" if type(part) is int else f".{part}" for part in item["loc"])[1:]
            problems.add(node, f"cannot use {path}: {_expected(item['type'])}", path=path)
        problems.settle()
        raise


def _expected(kind: str) -> str:
    """In a user's words what the model wanted; ``kind`` is pydantic's name of the mistake (``int_parsing``)."""
    if kind == "missing":
        return "it must be given"
    if kind == "extra_forbidden":
        return "there is no such attribute"
    noun = next((noun for start, noun in _NOUNS.items() if kind.startswith(start)), "")
    return f"expected {noun}" if noun else "it does not fit what it belongs to"


_NOUNS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "string": "a text",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
}


def _nearest(tree: Node, path: str) -> Node | None:
    while path:
        node = find(tree, path)
        if node is not None and node.line:
            return node
        path = path.rpartition(".")[0]
    return None
