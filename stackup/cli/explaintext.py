"""``config --explain`` as text: the value, where it comes from, and what it overrode, newest first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from stackup.base.errors import Position
from stackup.cli.terminal import paint

if TYPE_CHECKING:
    from stackup.stackfile.explain import Explanation, Layer
    from stackup.stackfile.uses import Found, Variable


def as_text(explanations: Sequence[Explanation], *, colour: bool) -> str:
    """One block for each value, with an empty line between them."""
    return "\n".join("".join(f"{line}\n" for line in _block(item, colour)) for item in explanations)


def as_json(explanations: Sequence[Explanation]) -> str:
    return json.dumps([_plain(item) for item in explanations], indent=2, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _block(item: Explanation, colour: bool) -> Iterator[str]:
    tint = paint if colour else _bare
    yield f"{tint(item.path, 'bold')} = {tint(show(item.value), 'cyan')}"
    for index, layer in enumerate(item.layers):
        lead = "  " if index == 0 else f"  {tint('overrides', 'dim')} {show(layer.value)}: "
        yield f"{lead}{_origin(layer, tint)}"
        for step in layer.steps:
            yield f"      {step.text}{_at(step.where)}"
        for variable in layer.variables:
            yield from (f"      {line}" for line in _variable(variable))


def _origin(layer: Layer, tint: Any) -> str:
    place = tint(_place(layer.where), "blue") if layer.where else ""
    if layer.kind == "default":
        return f"{layer.reason}" + (f" (see {place})" if place else "")
    if not layer.where:
        return layer.reason
    return f"{place}: {'   '.join(filter(None, (layer.written, layer.reason)))}"


def _variable(variable: Variable) -> Iterator[str]:
    effect = f", {variable.effect}" if variable.effect else ""
    if variable.found is None:
        yield f"{variable.name} is not set{effect}"
    else:
        yield f"{variable.name} is {show(variable.found.value)}, {_source(variable.found)}{effect}"
    for other in variable.hidden:
        yield f"    and not {show(other.value)}, {_source(other)}"


def _source(found: Found) -> str:
    if found.where:
        return f"set in {_place(found.where, column=False)}"
    return "set by stackup" if found.source == "stackup" else "set in the environment of the command"


def show(value: Any) -> str:
    """A value on one line, as it could stand in a stack file."""
    if value is None:
        return "(nothing)"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if value != value.strip() or not value or "\n" in value else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {show(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(show(item) for item in value) + "]"
    return str(value)


def _at(where: Position | None) -> str:
    return f", {_place(where)}" if where else ""


def _place(where: Position, *, column: bool = True) -> str:
    from stackup.cli.report import place

    return place(where if column else Position(where.file, where.line))


def _bare(text: str, colour: str) -> str:
    return text
