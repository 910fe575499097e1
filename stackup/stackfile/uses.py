"""The variables that went into one value: the value of each, where that was found, and what it hides."""

from __future__ import annotations

import os
from functools import lru_cache

from stackup.base.errors import Position
from stackup.base.values import frozen
from stackup.stackfile.environment import Environment
from stackup.stackfile.nodes import Origin
from stackup.stackfile.template import Asked, Outcome
from stackup.stackfile.variablefiles import lines_of


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


def variables_of(origin: Origin | None, environment: Environment | None) -> tuple[Variable, ...]:
    """What was looked up for a value, in order; twice where a name had two effects. ``environment``: that of its
    ``Source``."""
    if origin is None:
        return ()
    result: dict[tuple[str, str], Variable] = {}
    names: set[str] = set()
    for item in origin.asked:
        effect = _EFFECTS[item.outcome].format(item.argument or "(an empty text)")
        if (item.name, effect) not in result:
            found = _own(item) or _found(item.name, environment)
            hidden = () if item.name in names else tuple(found[1:])
            result[item.name, effect] = Variable(item.name, found[0] if found else None, hidden, effect)
            names.add(item.name)
    for name in origin.variables:
        if name not in names:
            found = _found(name, environment)
            effect = "" if found else "so it stays unset"
            result[name, effect] = Variable(name, found[0] if found else None, tuple(found[1:]), effect)
    return tuple(result.values())


_EFFECTS = {
    Outcome.VALUE: "",
    Outcome.UNSET: "so it is an empty text",
    Outcome.DEFAULT: "so the default {} is used",
    Outcome.ALTERNATIVE: "so {} is filled in",
    Outcome.NOTHING: "so nothing is filled in",
    Outcome.REFUSED: "and it is required",
}


def _own(item: Asked) -> list[Found]:
    return [Found(item.value or "", "env file", item.where)] if item.where is not None else []


def _found(name: str, environment: Environment | None) -> list[Found]:
    result: list[Found] = []
    if environment is None:
        return result
    for value, files in environment.whence(name):
        if files:
            for index, file in enumerate(files):
                line, text = _line(file, name)
                shown = value if index == 0 else text.partition("=")[2].strip()
                result.append(Found(shown, "env file", Position(file, line, 1 if line else 0)))
        else:
            result.append(Found(value, "stackup" if name == "COMPOSE_PROJECT_NAME" else "shell"))
    return result


State = tuple[int, int, int]  # of a file: when it changed, its size and inode; another state, another text


@lru_cache(maxsize=64)
def _text(file: str, state: State) -> str:
    try:
        with open(file, encoding="utf-8-sig", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


@lru_cache(maxsize=64)
def _lines(file: str, state: State) -> dict[str, int]:
    return lines_of(_text(file, state))


def _line(file: str, name: str) -> tuple[int, str]:
    try:
        status = os.stat(file)
    except OSError:
        return 0, ""
    state = status.st_mtime_ns, status.st_size, status.st_ino
    number = _lines(file, state).get(name, 0)
    return number, _text(file, state).split("\n")[number - 1] if number else ""
