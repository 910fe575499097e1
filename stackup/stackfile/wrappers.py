"""Forms around forms: short syntaxes, values that replace instead of merging, extensions that have a grammar."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stackup.stackfile.forms import Form, Record, replacing
from stackup.stackfile.nodes import OVERRIDE, RESET, Node
from stackup.stackfile.reader import Reader


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
        return _merged(self.record, base, over)


def _merged(form: Form, base: Node, over: Node) -> Node:
    """Values as they are written: mappings merge key by key, everything else replaces; so does another kind."""
    form = form.long if isinstance(form, Short) else form.record if isinstance(form, Probe) else form
    if over.tag == OVERRIDE or not isinstance(form, Record) or not type(base.value) is type(over.value) is dict:
        return replacing(base, over)
    kinds = form.kinds if isinstance(form, OneOf) and any(name in over.value for name in form.kinds) else ()
    result = {name: child for name, child in base.value.items() if name not in kinds or name in over.value}
    for name, child in over.value.items():
        if name in result:
            known = None if child.tag == RESET else form.fields.get(name)
            result[name] = replacing(result[name], child) if known is None else _merged(known, result[name], child)
        elif child.tag != RESET:
            result[name] = child
    merged = over.with_value(result)
    another = any(name not in result for name in base.value)  # kind of probe: the first one stays known
    return replacing(base, merged) if another else merged


class OneOf(Record):
    """A record of which exactly one of ``kinds`` must be given, once all files have been merged."""

    def __init__(self, noun: str, kinds: tuple[str, ...], fields: Mapping[str, Form]) -> None:
        super().__init__(noun, fields, open=False)
        self.kinds = kinds

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        item = super().read(node, path, reader)
        if item is None or not reader.final or type(node.value) is not dict:
            return item
        kinds = [name for name in self.kinds if name in node.value]
        if len(kinds) != 1:
            said = f"it has {' and '.join(kinds)}" if kinds else "it has none"
            reader.refuse(node, path, f"exactly one of {', '.join(self.kinds)} must be given; {said}")
        return item


class Probe(Form):
    """``tcp: 5432`` and ``log: pattern`` are short for the field that matters most."""

    def __init__(self, record: Record, field: str) -> None:
        self.record = record
        self.field = field
        self.expected = f"a {field}, or a mapping with {', '.join(record.fields)}"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        if type(node.value) is dict:
            item = self.record.read(node, path, reader)
            if item is not None and self.field not in node.value and self.record.required and reader.final:
                reader.refuse(node, path, f"{self.field} must be given")
            return item
        value = self.record.fields[self.field].read(node, path, reader)
        return None if value is None else node.with_value({self.field: value})

    def merge(self, base: Node, over: Node) -> Node:
        both = type(base.value) is type(over.value) is dict
        return self.record.merge(base, over) if both else replacing(base, over)
