"""By which way a value came to its place inside a file: anchors, aliases and merge keys, found by reading it again.

Loading keeps no record of them, as nearly nobody asks; ``explain`` does, for one value.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import yaml

from stackup.base.values import frozen
from stackup.stackfile.nodes import RESET, Source

Place = tuple[int, int]  # line and column, from 1


@frozen
class Via:
    """``how`` is ``alias *name`` or ``merge key <<: *name``, at ``place``."""

    how: str
    place: Place


@frozen
class Route:
    """``text`` is the value as it stands in the file."""

    ways: tuple[Via, ...]
    text: str


Routes = dict[Place, Route]


def routes(source: Source, keys: tuple[str, ...]) -> Routes:
    """The places of all values at and below ``keys`` (``services``, ``web``), each with its way; empty for none."""
    found: Routes = {}
    for root in _documents(source):
        start = _follow(root, keys)
        if start is not None:
            _collect(start, (), source, found, set())
    return found


def reset_at(source: Source, keys: tuple[str, ...]) -> Place | None:
    """Where ``!reset`` was written for this path."""
    for root in _documents(source):
        start = _follow(root, keys)
        if start is not None and start.tag == RESET:
            return _place(start.start_mark)
    return None


class _PlainLoader(yaml.CSafeLoader):
    """Does not guess what scalars mean. The files were read before, so their depth is bounded."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return "?"


@lru_cache(maxsize=64)
def _documents(source: Source) -> list[Any]:
    try:
        return [root for root in yaml.compose_all(source.text.removeprefix("\ufeff"), _PlainLoader) if root is not None]
    except yaml.YAMLError:
        return []


def _follow(node: Any, keys: tuple[str, ...]) -> Any:
    """The node at the end of the keys; None where they lead nowhere."""
    for key in keys:
        if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
            node = node.value[int(key)]
        elif isinstance(node, yaml.MappingNode):
            node = next((value for name, value in node.value if name.value == key), None)
        else:
            return None
    return node


def _place(mark: Any) -> Place:
    return mark.line + 1, mark.column + 1


def _collect(node: Any, way: tuple[Via, ...], source: Source, found: Routes, seen: set[int]) -> None:
    text = source.text[node.start_mark.index : node.end_mark.index]
    found.setdefault(_place(node.start_mark), Route(way, text))
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "<<" and key.style in ("", None):
                for part in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                    via = Via(f"the merge key <<{_anchor(part, source)}", _place(key.start_mark))
                    _collect(part, (*way, via), source, found, seen)
            else:
                _collect(value, _through(value, key.start_mark, key.start_mark, way, source), source, found, seen)
    elif isinstance(node, yaml.SequenceNode):
        last = node.start_mark
        for item in node.value:
            _collect(item, _through(item, last, node.start_mark, way, source), source, found, seen)
            last = max(last, item.start_mark, key=lambda mark: mark.index)


def _through(node: Any, before: Any, at: Any, way: tuple[Via, ...], source: Source) -> tuple[Via, ...]:
    """A value that begins before its own key (or the item before it) was written elsewhere: an alias leads there."""
    if node.start_mark.index >= before.index:
        return way
    return (*way, Via(f"the alias{_anchor(node, source)}", _place(at)))


def _anchor(node: Any, source: Source) -> str:
    line, column = _place(node.start_mark)
    before = f"{source.line(line - 1) if line > 1 else ''}\n{source.line(line)[: column - 1]}"
    here = re.match(r"&(\S+)", source.line(line)[column - 1 :])
    match = here or re.search(r"&(\S+)\s*\Z", before)
    return f" *{match[1]}" if match else ""
