"""The variables in one text: the value of each, where that was found, and what it hides."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from stackup.base.errors import Position
from stackup.base.values import frozen
from stackup.stackfile.finish import lines_of
from stackup.stackfile.template import TemplateError, uses


@frozen
class Found:
    """A value of a variable. ``source``: shell, env file, or stackup for what it sets itself."""

    value: str
    source: str
    where: Position | None = None


@frozen
class Variable:
    """``effect`` says what a variable did that was not simply filled in (``the default 5432 is used``)."""

    name: str
    found: Found | None
    hidden: tuple[Found, ...] = ()
    effect: str = ""


def variables_of(template: str, asked: tuple[str, ...] | None, environment: Any) -> tuple[Variable, ...]:
    """Those of ``template`` that were looked up (``asked``; None: all). ``environment`` is ``Source.environment``."""
    try:
        written = {use.name: use for use in uses(template)}
    except TemplateError:
        written = {}
    names = tuple(written) if asked is None else asked
    result = []
    for name in names:
        found = tuple(_found(name, environment)) if environment is not None else ()
        use = written.get(name)
        effect = ""
        empty = not found or (f"${{{name}:" in template and not found[0].value)
        if use is not None and use.alternative:
            effect = "so nothing is filled in" if empty else f"so {use.alternative} is filled in"
        elif empty and use is not None and f"${{{name}" in template and _has_default(template, name):
            effect = f"so the default {use.default or '(an empty text)'} is used"
        elif not found:
            effect = "so it is an empty text" if "$" in template else "so it stays unset"
        result.append(Variable(name, found[0] if found else None, found[1:], effect))
    return tuple(result)


def _has_default(template: str, name: str) -> bool:
    return any(f"${{{name}{operator}" in template for operator in (":-", "-"))


def _found(name: str, environment: Any) -> list[Found]:
    result = []
    for value, files in environment.whence(name):
        if files:
            for index, file in enumerate(files):
                line, text = _line(file, name)
                shown = value if index == 0 else text.partition("=")[2].strip()
                result.append(Found(shown, "env file", Position(file, line, 1 if line else 0)))
        else:
            result.append(Found(value, "stackup" if name == "COMPOSE_PROJECT_NAME" else "shell"))
    return result


@lru_cache(maxsize=64)
def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8-sig", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


@lru_cache(maxsize=64)
def _lines(file: str) -> dict[str, int]:
    return lines_of(_text(file))


def _line(file: str, name: str) -> tuple[int, str]:
    number = _lines(file).get(name, 0)
    return number, _text(file).split("\n")[number - 1] if number else ""
