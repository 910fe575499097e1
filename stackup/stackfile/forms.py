"""Forms: what a value of the stack file may look like, and how two of them merge.

A form reads a written value into its canonical, long form (the shape of the model) and reports what is wrong in the
user's words. The grammar (``grammar`` and its neighbours) is nothing but tables of forms. Reading happens per file and
before merging, so that every error points at the file that holds it and merging sees one shape only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from stackup.stackfile.advice import for_mapping, typographic
from stackup.stackfile.nodes import OVERRIDE, RESET, Node
from stackup.stackfile.reader import Reader


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
    """Merges by the form's rule after ``!reset``, ``!override`` and empty values have been honoured. None: removed.

    What was replaced as a whole stays known as the ``shadow`` of what takes its place, also through further merges.
    """
    if over.tag == RESET:
        return None
    if over.tag == OVERRIDE or (base.value is None and over.value is not None) or base.tag == RESET:
        return replacing(base, over)
    if over.value is None and not form.null_resets:
        return base if base.value is not None else replacing(base, over)
    merged = form.merge(base, over)
    if base.shadow is not None and merged.shadow is None:
        merged = merged.with_value(merged.value) if merged is over else merged
        merged.shadow = base.shadow
    return merged


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
        return "write NAME: value instead of - NAME" if type(node.value) is list else for_mapping(node)

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
        # A value that was reset leaves its stone: ``finish`` takes it away, ``explain`` reads what is written on it.
        result[name] = replacing(result[name], child) if merged is None else merged
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
            reader.wrong(node, path, self.expected, for_mapping(node, self.fields))
            return None
        fields = self.fields
        result: dict[str, Node] = {}
        same = True
        for key, child in value.items():
            form = fields.get(key)
            if form is None:
                if self.open and key.startswith("x-") and key != "x-stackup":
                    result[key] = child
                else:
                    same = False
                    self.unknown(key, child, path, reader)
                continue
            if child.tag == RESET or (child.value is None and reader.postponed(child, key, form)):
                result[key] = child
                continue
            item = form.read(child, f"{path}.{key}" if path else key, reader)
            same &= item is child
            if item is not None:
                result[key] = item
        return node if same else node.with_value(result)

    def unknown(self, key: str, child: Node, path: str, reader: Reader) -> None:
        hint = self.hints.get(key) or typographic(key) or reader.problems.did_you_mean(key, self.fields)
        if key.isdigit() and type(child.value) in (int, str):
            hint = f'write "{key}:{child.value}"'
        if key == "x-stackup":
            hint = "x-stackup stands at the top of a file or in a service"
        place = f"{path}.{key}" if path else key
        reader.refuse(child, place, f"{self.noun} has no such attribute", hint, at_key=True)

    def merge(self, base: Node, over: Node) -> Node:
        fields = self.fields
        return over.with_value(merge_children(base.value, over.value, lambda key: fields.get(key, ANYTHING)))
