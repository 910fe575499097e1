"""Forms: what a value of the stack file may look like, and how two of them merge.

A form reads a written value into its canonical, long form (the shape of the model) and reports what is wrong in the
user's words. The grammar (``grammar`` and its neighbours) is nothing but tables of forms. Reading happens per file and
before merging, so that every error points at the file that holds it and merging sees one shape only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from stackup.stackfile.nodes import OVERRIDE, RESET, Node, Origin
from stackup.stackfile.problems import Problems
from stackup.stackfile.units import go_text

Key = Callable[[Any], str | None]  # of an item's plain value; None: the item has no identity


class Reader:
    """What reading needs besides the value.

    ``lenient``: variables were left in place, so texts are not judged. ``inherit`` gives names that stand without a
    value (``environment: [TERM]``) the caller's one; None leaves them open. ``final``: all files have been merged.
    ``empty`` collects the empty values that mean nothing where another file has a value, and are wrong otherwise.
    """

    __slots__ = ("empty", "final", "home", "inherit", "lenient", "problems", "resolve_paths")

    def __init__(
        self,
        problems: Problems,
        home: str,
        *,
        resolve_paths: bool = True,
        lenient: bool = False,
        inherit: Callable[[str], str | None] | None = None,
        final: bool = False,
        empty: Empty | None = None,
    ) -> None:
        self.final = final
        self.empty: Empty = {} if empty is None else empty
        self.problems = problems
        self.home = home
        self.resolve_paths = resolve_paths
        self.lenient = lenient
        self.inherit = inherit

    def postponed(self, node: Node, path: str, form: Form) -> bool:
        """True for an empty value that ``form`` does not take: merging may still fill it in."""
        if node.value is not None or form.read(node, path, Reader(Problems(), self.home)) is not None:
            return False
        self.empty[_place(node)] = form
        return True

    def wrong(self, node: Node, path: str, expected: str, hint: str = "") -> None:
        """Says that ``node`` is not what belongs at ``path``."""
        self.problems.add(node, f"cannot use {show(node)} for {path}: expected {expected}", hint=hint)

    def misused(self, node: Node, path: str, reason: str, hint: str = "") -> None:
        """Says what is wrong with the text of ``node``."""
        self.problems.add(node, f"cannot use {show(node)} for {path}: {reason}", hint=hint)

    def refuse(self, node: Node, path: str, reason: str, hint: str = "", *, at_key: bool = False) -> None:
        self.problems.add(node, f"cannot use {path}: {reason}", hint=hint, at_key=at_key)

    def open_text(self, node: Node) -> bool:
        """True for a text whose variables were left in place, so that nothing can be said about it."""
        return self.lenient and type(node.value) is str and "$" in node.value


_NUMBER = re.compile(r"[-+.0-9][^\s,\[\]{}#]*")  # as it is written: 1.20 rather than 1.2


def show(node: Node) -> str:
    """The value as a user would recognise it, short."""
    value = node.value
    if value is None:
        return "an empty value"
    if type(value) is dict:
        return "a mapping"
    if type(value) is list:
        return "a list"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is str:
        return repr(value if len(value) <= 60 else f"{value[:57]}...") if value else "an empty text"
    if node.origin is None and node.line and type(value) in (int, float):
        written = _NUMBER.match(node.source.line(node.line)[node.column - 1 :])
        return written[0] if written else go_text(value)
    return go_text(value)


Place = tuple[str, int, int, int, int]
Empty = dict[Place, "Form"]


def check_empty(tree: Node, reader: Reader) -> None:
    """Refuses the empty values that no file has filled in, and takes them out of the tree."""
    if reader.empty:
        _check_empty(tree, "", reader)


def _check_empty(node: Node, path: str, reader: Reader) -> None:
    value = node.value
    if type(value) is list:
        for index, child in enumerate(value):
            _check_empty(child, f"{path}.{index}", reader)
    elif type(value) is dict:
        for key, child in list(value.items()):
            below = f"{path}.{key}" if path else key
            if child.value is not None:
                _check_empty(child, below, reader)
            elif (form := reader.empty.get(_place(child))) is not None:
                form.read(child, below, reader)
                del value[key]


def _place(node: Node) -> Place:
    return node.source.name, node.line, node.column, node.key_line, node.key_column


class Form:
    """Base. ``expected`` completes the sentence "expected ..."."""

    expected = "a value"
    null_resets = False  # in a merge, an empty value replaces what was there (command, entrypoint)

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        """The canonical node, or None after having reported why there is none."""
        raise NotImplementedError

    def merge(self, base: Node, over: Node) -> Node:
        """``over`` comes from a later file, or from the service that extends. Neither is changed."""
        return replacing(base, over)


def replacing(base: Node, over: Node) -> Node:
    """``over``, which remembers that ``base`` stood here before; what it had replaced itself comes first."""
    node = over.with_value(over.value)
    node.shadow = base if over.shadow is None else replacing(base, over.shadow)
    return node


def merge(form: Form, base: Node, over: Node) -> Node | None:
    """Merges by the form's rule after ``!reset``, ``!override`` and empty values have been honoured. None: removed."""
    if over.tag == RESET:
        return None
    if over.tag == OVERRIDE or (base.value is None and over.value is not None) or base.tag == RESET:
        return replacing(base, over)
    if over.value is None and not form.null_resets:
        return base
    return form.merge(base, over)


class Anything(Form):
    """Below ``x-``: kept as it is written."""

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        return node

    def merge(self, base: Node, over: Node) -> Node:
        if type(base.value) is type(over.value) is dict:
            return over.with_value(merge_children(base.value, over.value, lambda key: self))
        if type(base.value) is type(over.value) is list:
            return over.with_value([*base.value, *over.value])
        return replacing(base, over)


ANYTHING = Anything()


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
                continue
            # What could not be read keeps its place, so that the others keep their numbers.
            items.extend(self.items(child, f"{path}.{index}", reader) or [child.with_value(None)])
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
        if type(node.value) in (str, int) and node.line:
            text = node.value if type(node.value) is str else f'"{node.value}"'
            return f"write it as a list item: - {text}" if len(text) < 60 else ""
        return ""

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
                where = f"line {first.line}" if first.source is item.source else f"{first.position}"
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
            reader.wrong(node, path, self.expected)
            return None
        pairs: dict[str, Node] = {}
        for index, child in enumerate(value):
            if type(child.value) is not str:
                hint = "write NAME=value" if type(child.value) is not dict else "write NAME=value, not NAME: value"
                reader.wrong(child, f"{path}.{index}", "a text NAME=value", hint)
                continue
            name, equals, text = child.value.partition("=")
            if not equals and not self.bare:
                reader.wrong(child, f"{path}.{index}", "a text NAME=value")
                continue
            if self.inherit and name != name.rstrip():
                reader.misused(child, f"{path}.{index}", f"the name {name!r} ends with a space", "write NAME=value")
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
            if child.tag == RESET:
                pairs.pop(name, None)
            else:
                pairs[name] = replacing(pairs[name], child) if name in pairs else child
        return over.with_value(pairs)


class MapOf(Form):
    """Things by name that the user chooses. ``names`` is the pattern the names must match."""

    def __init__(self, item: Form, expected: str = "a mapping", *, names: str = "", null: bool = False) -> None:
        self.item = item
        self.expected = expected
        self.names = re.compile(names) if names else None
        self.null = null  # a name may stand without a value

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if type(value) is not dict:
            reader.wrong(node, path, self.expected, self.advice(node))
            return None
        result: dict[str, Node] = {}
        for name, child in value.items():
            below = f"{path}.{name}"
            if self.names is not None and not self.names.match(name):
                reader.refuse(
                    child, below, f"the name {name!r} may hold only letters, digits, '.', '_' and '-'", at_key=True
                )
                continue
            if child.tag == RESET or (child.value is None and (self.null or reader.postponed(child, below, self.item))):
                result[name] = child
                continue
            item = self.item.read(child, below, reader)
            # What could not be read keeps its name, so that references to it are not called wrong as well.
            result[name] = child.with_value({}) if item is None else item
        return node.with_value(result)

    def advice(self, node: Node) -> str:
        return "write NAME: value instead of - NAME" if type(node.value) is list else ""

    def merge(self, base: Node, over: Node) -> Node:
        return over.with_value(merge_children(base.value, over.value, lambda name: self.item))


def merge_children(
    base: Mapping[str, Node], over: Mapping[str, Node], form_of: Callable[[str], Form]
) -> dict[str, Node]:
    result = dict(base)
    for name, child in over.items():
        if name not in result:
            result[name] = child
            continue
        merged = merge(form_of(name), result[name], child)
        if merged is None:
            del result[name]
        else:
            result[name] = merged
    return result


class Record(Form):
    """A mapping with known keys. ``required`` is checked once merging is over (``missing``), ``x-`` keys are kept."""

    def __init__(
        self,
        noun: str,
        fields: Mapping[str, Form],
        *,
        required: tuple[str, ...] = (),
        null: bool = False,
        open: bool = True,
        hints: Mapping[str, str] | None = None,
    ) -> None:
        self.noun = noun
        self.fields = dict(fields)
        self.required = required
        self.null = null
        self.open = open
        self.hints = dict(hints or {})
        self.expected = "a mapping"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if type(value) is not dict:
            if value is None and self.null:
                return node
            dashed = type(value) is list and bool(value) and type(value[0].value) is dict
            reader.wrong(
                node, path, self.expected, "leave out the dash; attributes are written NAME: value" if dashed else ""
            )
            return None
        fields = self.fields
        result: dict[str, Node] = {}
        for key, child in value.items():
            form = fields.get(key)
            if form is None:
                if self.open and key.startswith("x-") and key != "x-stackup":
                    result[key] = child
                else:
                    self.unknown(key, child, path, reader)
                continue
            if child.tag == RESET or (child.value is None and reader.postponed(child, key, form)):
                result[key] = child
                continue
            item = form.read(child, f"{path}.{key}" if path else key, reader)
            if item is not None:
                result[key] = item
        return node.with_value(result)

    def unknown(self, key: str, child: Node, path: str, reader: Reader) -> None:
        hint = self.hints.get(key) or reader.problems.did_you_mean(key, self.fields)
        if key == "x-stackup":
            hint = "x-stackup stands at the top of a file or in a service"
        place = f"{path}.{key}" if path else key
        reader.refuse(child, place, f"{self.noun} has no such attribute", hint, at_key=True)

    def merge(self, base: Node, over: Node) -> Node:
        fields = self.fields
        return over.with_value(merge_children(base.value, over.value, lambda key: fields.get(key, ANYTHING)))
