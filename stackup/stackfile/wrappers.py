"""Forms around forms: short syntaxes, values that replace instead of merging, extensions that have a grammar."""

from __future__ import annotations

from collections.abc import Callable

from stackup.stackfile.forms import Form, Reader, Record, replacing
from stackup.stackfile.nodes import Node


class Short(Form):
    """A form with a short syntax: ``expand`` turns a text into what ``long`` (a mapping, or ``kind``) reads to."""

    def __init__(
        self,
        long: Form,
        expand: Callable[[Node, str, Reader], Node | None],
        expected: str,
        *,
        kind: type = dict,
        finish: Callable[[Node, str, Reader], Node | None] | None = None,
    ) -> None:
        self.long = long
        self.expand = expand
        self.expected = expected
        self.kind = kind
        self.finish = finish

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        if type(node.value) is str:
            return self.expand(node, path, reader)
        if type(node.value) is not self.kind:
            reader.wrong(node, path, self.expected)
            return None
        item = self.long.read(node, path, reader)
        return item if item is None or self.finish is None else self.finish(item, path, reader)

    def merge(self, base: Node, over: Node) -> Node:
        return self.long.merge(base, over)


class Replaced(Form):
    """Reads like ``form``, but merging replaces instead of joining."""

    def __init__(self, form: Form, *, null: bool = False) -> None:
        self.form = form
        self.expected = form.expected
        self.null_resets = null
        self.null = null

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        return node if node.value is None and self.null else self.form.read(node, path, reader)


class Typed(Form):
    """An extension that has a grammar: checked here, kept as written, and read again once merging is over."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.expected = record.expected

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        return node if self.record.read(node, path, reader) is not None else None

    def merge(self, base: Node, over: Node) -> Node:
        return self.record.merge(base, over) if type(base.value) is type(over.value) is dict else replacing(base, over)


class Probe(Form):
    """``tcp: 5432`` and ``log: pattern`` are short for the field that matters most."""

    def __init__(self, record: Record, field: str) -> None:
        self.record = record
        self.field = field
        self.expected = f"a {field}, or a mapping with {', '.join(record.fields)}"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        if type(node.value) is dict:
            item = self.record.read(node, path, reader)
            if item is not None and self.field not in item.value and self.record.required:
                reader.refuse(node, path, f"{self.field} must be given")
            return item
        value = self.record.fields[self.field].read(node, path, reader)
        return None if value is None else node.with_value({self.field: value})

    def merge(self, base: Node, over: Node) -> Node:
        both = type(base.value) is type(over.value) is dict
        return self.record.merge(base, over) if both else over
