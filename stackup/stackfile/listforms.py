"""Forms of many values: lists, and texts by name that may be written as a list."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from stackup.stackfile.advice import for_list, for_pairs
from stackup.stackfile.forms import Form, replacing
from stackup.stackfile.nodes import RESET, Node, Origin
from stackup.stackfile.problems import Problems
from stackup.stackfile.reader import Reader, show
from stackup.stackfile.scalars import NumberText, Text
from stackup.stackfile.units import go_text

Key = Callable[[Any], str | None]  # of an item's plain value; None: the item has no identity


class ListOf(Form):
    """A list. ``key`` gives an item's identity: a later item with the same one replaces the earlier.

    Without ``key`` a repeated text is refused when ``unique``, and kept otherwise. ``single`` also takes a lone item.
    """

    def __init__(
        self,
        item: Form,
        expected: str = "a list",
        *,
        key: Key | None = None,
        unique: bool = False,
        single: bool = False,
        drop_empty: bool = False,
    ) -> None:
        self.item = item
        self.expected = expected
        self.key = key
        self.unique = unique
        self.single = single
        self.drop_empty = drop_empty

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if type(value) is not list:
            if not self.single or type(value) is not str:
                reader.wrong(node, path, self.expected, self.advice(node))
                return None
            value = [node.under(value)]
        items: list[Node] = []
        for index, child in enumerate(value):
            if child.tag == RESET:
                reader.resets_nothing(child, f"{path}[{index}]")
                continue
            # What could not be read keeps its place, so that the others keep their numbers.
            items.extend(self.items(child, f"{path}[{index}]", reader) or [child.with_value(None)])
        if self.drop_empty:
            items = [item for item in items if item.value != ""]
        if self.key is not None:
            items = self.distinct(items)
        elif self.unique:
            self.check_unique(items, path, reader.problems)
        return node.with_value(items)

    def items(self, child: Node, path: str, reader: Reader) -> list[Node]:
        """What one written item stands for: usually one; a range of ports is many."""
        item = self.item.read(child, path, reader)
        return [] if item is None else [item]

    def advice(self, node: Node) -> str:
        return for_list(node, texts=isinstance(self.item, (Text, NumberText)))

    def distinct(self, items: list[Node]) -> list[Node]:
        assert self.key is not None
        result: list[Node] = []
        places: dict[str, int] = {}
        for item in items:
            key = self.key(item)
            if key is None:
                result.append(item)
            elif key in places:
                result[places[key]] = replacing(result[places[key]], item)
            else:
                places[key] = len(result)
                result.append(item)
        return result

    def check_unique(self, items: list[Node], path: str, problems: Problems) -> None:
        """Also called once merging is over: Compose does not drop what two files both list."""
        seen: dict[Any, Node] = {}
        for item in items:
            if item.value is None:
                continue
            if item.value in seen:
                first = seen[item.value]
                where = f"line {first.line}" if first.source is item.source else problems.short(first.position)
                problems.add(item, f"cannot use {path}: {show(item)} is listed twice; the first one is in {where}")
            seen.setdefault(item.value, item)

    def merge(self, base: Node, over: Node) -> Node:
        items = [*base.value, *over.value]
        if self.key is not None:
            items = self.distinct(items)
        return over.with_value(items)


class Pairs(Form):
    """Texts by name: a mapping, or a list of ``NAME=value``. ``inherit``: a name alone has no value yet (None).

    Canonical: a mapping whose values are texts or None.
    """

    expected = "a mapping, or a list of NAME=value"

    def __init__(self, *, inherit: bool = False, alone: bool = True, values: Form | None = None) -> None:
        self.inherit = inherit
        self.bare = alone  # an item of a list may be a name without a value
        self.values = values

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if type(value) is dict:
            return node.with_value(self.mapping(value, path, reader))
        if type(value) is not list:
            reader.wrong(node, path, self.expected, for_pairs(node))
            return None
        pairs: dict[str, Node] = {}
        for index, child in enumerate(value):
            if type(child.value) is not str:
                hint = "write NAME=value" if type(child.value) is not dict else "write NAME=value, not NAME: value"
                reader.wrong(child, f"{path}[{index}]", "a text NAME=value", hint)
                continue
            name, equals, text = child.value.partition("=")
            if not equals and not self.bare:
                reader.wrong(child, f"{path}[{index}]", "a text NAME=value")
                continue
            if self.inherit and name != name.rstrip():
                reader.misused(child, f"{path}[{index}]", f"the name {name!r} ends with a space", "write NAME=value")
                continue
            item = child.with_value(text if equals else self.alone(name, reader))
            if not equals and self.inherit:
                item.origin = Origin(name, (name,))
            if name in pairs:
                item = replacing(pairs[name], item)
            read = self.values.read(item, f"{path}.{name}", reader) if self.values and item.value else item
            if read is not None:
                pairs[name] = read
        return node.with_value(pairs)

    def alone(self, name: str, reader: Reader) -> str | None:
        """The value of a name without one."""
        if not self.inherit:
            return ""
        return reader.inherit(name) if reader.inherit else None

    def mapping(self, value: dict[str, Node], path: str, reader: Reader) -> dict[str, Node]:
        pairs: dict[str, Node] = {}
        for name, child in value.items():
            kind = type(child.value)
            if kind is str or child.tag == RESET:
                pairs[name] = child
            elif kind is dict or kind is list or (kind is float and not math.isfinite(child.value)):
                reader.wrong(child, f"{path}.{name}", "a text, a number, true, false or nothing")
                continue
            elif child.value is None:
                pairs[name] = child.with_value(self.alone(name, reader))
                if self.inherit:
                    pairs[name].origin = Origin("", (name,))
            else:
                pairs[name] = child.with_value(go_text(child.value))
            if self.values and kind is str:
                read = self.values.read(child, f"{path}.{name}", reader)
                if read is not None:
                    pairs[name] = read
        return pairs

    def merge(self, base: Node, over: Node) -> Node:
        pairs = dict(base.value)
        for name, child in over.value.items():
            if name in pairs:
                pairs[name] = replacing(pairs[name], child)
            elif child.tag != RESET:
                pairs[name] = child
        return over.with_value(pairs)
