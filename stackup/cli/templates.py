"""``--format '{{.ID}} {{json .Config}}'``: Go templates over what a verb would print as JSON, as docker has them.

A field that is not there prints as ``<no value>`` and counts as false; one that no row has at all is an error that
names those that there are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from stackup.base.errors import UsageError
from stackup.cli.formats import TABLE
from stackup.cli.table import table
from stackup.cli.templateparser import Block, Call, Chain, Literal, Node, Operand, Pipeline, Text, parse

_ESCAPES = {"\\t": "\t", "\\n": "\n"}
_VERB = re.compile(r"%([-+ #0]*\d*(?:\.\d+)?)([a-zA-Z%])")


class Missing(NamedTuple):
    """A field that is not there. ``known``: those of the whole, where it is one of them that was asked for."""

    name: str
    known: tuple[str, ...] = ()


def render(template: str, data: Any) -> str:
    """Raises UsageError."""
    return _Run(data).nodes(parse(template), data)


def listed(template: str, rows: Iterable[Mapping[str, Any]], headers: Mapping[str, str] | None = None) -> str:
    """A line a row; behind ``table``, columns (tabs in the template) under ``headers``, which default to the names."""
    text = template
    for written, meant in _ESCAPES.items():
        text = text.replace(written, meant)
    columns = text.startswith(TABLE)
    nodes = parse(text.removeprefix(TABLE).strip() if columns else text)
    lines = [_Run(row).nodes(nodes, row) for row in rows]
    if not columns:
        return "".join(f"{line}\n" for line in lines)
    names = _Headers(headers or {})
    header = _Run(names).nodes(nodes, names).split("\t")
    return table(header, [_cells(line, len(header)) for line in lines])


def _cells(line: str, count: int) -> list[str]:
    cells = line.split("\t")
    return [*cells[:count], *[""] * (count - len(cells))]


class _Headers(dict[str, Any]):
    """``CreatedSince`` -> CREATED SINCE, unless it is known better."""

    def __missing__(self, name: str) -> str:
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).upper()


def shown(value: Any) -> str:
    """As Go prints it."""
    match value:
        case Missing(name, known):
            if known:
                raise UsageError(f"cannot use --format: there is no field '{name}'", hint=f"fields: {', '.join(known)}")
            return "<no value>"
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
        case dict():
            return f"map[{' '.join(f'{key}:{shown(value[key])}' for key in sorted(value))}]"
        case list() | tuple():
            return f"[{' '.join(shown(item) for item in value)}]"
    return str(value)


def _true(value: Any) -> bool:
    return False if isinstance(value, Missing) else bool(value)


class _Run:
    """One template over one value. ``_variables`` are those of the blocks that are open."""

    def __init__(self, top: Any) -> None:
        self._top = top
        self._variables: dict[str, Any] = {"$": top}

    def nodes(self, nodes: Iterable[Node], dot: Any) -> str:
        return "".join(self._node(node, dot) for node in nodes)

    def _node(self, node: Node, dot: Any) -> str:
        match node:
            case Text(text):
                return text
            case Block():
                outer = dict(self._variables)
                found = self._range(node, dot) if node.kind == "range" else self._choice(node, dot)
                self._variables = {name: self._variables[name] for name in outer}
                return found
        value = self._value(node, dot)
        return "" if node.names else shown(value)

    def _choice(self, node: Block, dot: Any) -> str:
        value = self._value(node.pipeline, dot)
        if not _true(value):
            return self.nodes(node.otherwise, dot)
        return self.nodes(node.body, value if node.kind == "with" else dot)

    def _range(self, node: Block, dot: Any) -> str:
        whole = self._value(Pipeline((), False, node.pipeline.commands), dot)
        match whole:
            case dict():
                pairs: list[tuple[Any, Any]] = [(key, whole[key]) for key in sorted(whole)]
            case list() | tuple() if not isinstance(whole, Missing):
                pairs = list(enumerate(whole))
            case None | Missing():
                pairs = []
            case _:
                raise UsageError(f"cannot use --format: range over {shown(whole)}, which is not a list")
        text = ""
        for key, item in pairs:
            names = node.pipeline.names
            self._variables.update(zip(names, (key, item) if len(names) == 2 else (item,), strict=False))
            text += self.nodes(node.body, item)
        return text if pairs else self.nodes(node.otherwise, dot)

    def _value(self, pipeline: Pipeline, dot: Any) -> Any:
        given: tuple[Any, ...] = ()
        for command in pipeline.commands:
            given = (self._operand(command, dot, given),)
        for name in pipeline.names:
            if not pipeline.declares and name not in self._variables:
                raise UsageError(f"cannot use --format: there is no variable {name}")
            self._variables[name] = given[0]
        return given[0]

    def _operand(self, operand: Operand, dot: Any, given: tuple[Any, ...] = ()) -> Any:
        match operand:
            case Literal(value):
                return value
            case Chain(variable, fields, inner):
                return self._chain(variable, fields, inner, dot)
            case Call(function, arguments):
                return _call(function, [*(self._operand(item, dot) for item in arguments), *given])

    def _chain(self, variable: str, fields: tuple[str, ...], inner: Pipeline | None, dot: Any) -> Any:
        if variable and variable not in self._variables:
            raise UsageError(f"cannot use --format: there is no variable {variable}")
        found = self._value(inner, dot) if inner else self._variables[variable] if variable else dot
        for name in fields:
            found = self._field(found, name)
        return found

    def _field(self, value: Any, name: str) -> Any:
        if isinstance(value, _Headers):
            return value[name]
        if isinstance(value, Mapping):
            known = tuple(value) if value is self._top else ()
            return value.get(name, Missing(name, known))
        if value is None or isinstance(value, Missing):
            return Missing(name)
        raise UsageError(f"cannot use --format: {shown(value)} has no field '{name}'")


def _call(name: str, values: list[Any]) -> Any:
    function = _FUNCTIONS.get(name)
    if function is None:
        raise UsageError(
            f"cannot use --format: there is no function '{name}'", hint=f"functions: {', '.join(sorted(_FUNCTIONS))}"
        )
    try:
        return function(*values)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise UsageError(f"cannot use --format: {name} cannot be applied: {error}") from None


def _json(value: Any) -> str:
    plain = None if isinstance(value, Missing) else value
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if value is None or isinstance(value, Missing):
            return Missing(str(key))
        value = value.get(key, Missing(str(key))) if isinstance(value, Mapping) else value[key]
    return value


def _printf(form: str, *values: Any) -> str:
    left = list(values)

    def one(match: re.Match[str]) -> str:
        flags, verb = match.groups()
        if verb == "%":
            return "%"
        value = left.pop(0)
        if verb in "dxXofeg" and not isinstance(value, str):
            return str(f"%{flags}{verb}" % value)
        return str(f"%{flags}s" % (json.dumps(value, ensure_ascii=False) if verb == "q" else shown(value)))

    return _VERB.sub(one, form)


def _print(*values: Any) -> str:
    """Blanks only between two values that are no texts."""
    text = ""
    for before, value in zip((None, *values), values, strict=False):
        apart = before is not None and not isinstance(before, str) and not isinstance(value, str)
        text += f" {shown(value)}" if apart else shown(value)
    return text


def _first(values: Sequence[Any], wanted: bool) -> Any:
    """``and``, ``or``: the first value that decides it, else the last one."""
    return next((value for value in values if _true(value) is wanted), values[-1])


def _length(value: Any) -> int:
    return 0 if isinstance(value, Missing) or value is None else len(value)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": _json,
    "join": lambda items, by: by.join(shown(item) for item in items or ()),
    "split": lambda text, by: text.split(by),
    "lower": lambda text: shown(text).lower(),
    "upper": lambda text: shown(text).upper(),
    "title": lambda text: shown(text).title(),
    "pad": lambda text, before, after: f"{' ' * before}{shown(text)}{' ' * after}",
    "truncate": lambda text, count: shown(text)[:count],
    "print": _print,
    "println": lambda *values: " ".join(map(shown, values)) + "\n",
    "printf": _printf,
    "index": _index,
    "slice": lambda value, *bounds: value[slice(*bounds) if len(bounds) == 2 else slice(bounds[0], None)],
    "len": _length,
    "eq": lambda value, *others: any(value == other for other in others),
    "ne": lambda value, other: value != other,
    "lt": lambda value, other: value < other,
    "le": lambda value, other: value <= other,
    "gt": lambda value, other: value > other,
    "ge": lambda value, other: value >= other,
    "and": lambda *values: _first(values, wanted=False),
    "or": lambda *values: _first(values, wanted=True),
    "not": lambda value: not _true(value),
}
