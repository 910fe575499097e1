"""How a verb declares its flags: as fields of a frozen dataclass, read by the quick parser and by the typer app."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import field
from typing import Any, NamedTuple


class Option(NamedTuple):
    """One flag or argument. ``flags`` is empty for an argument; ``kind`` bool means a switch.

    ``many`` collects into a tuple. ``check`` raises ValueError, with the reason as its text, for a value that is wrong.
    ``opposite`` is the name of the switch that "=false" behind this one means; else that takes back an earlier one.
    """

    name: str
    flags: tuple[str, ...]
    help: str
    kind: type
    default: Any
    metavar: str = ""
    many: bool = False
    choices: tuple[str, ...] = ()
    hidden: bool = False
    required: bool = False
    check: Callable[[str], object] | None = None
    opposite: str = ""

    def convert(self, text: str) -> Any:
        """``text`` as a value of this option; ValueError where it is none."""
        if self.choices and text not in self.choices:
            raise ValueError(f"{text!r} is not one of {', '.join(self.choices)}")
        if self.check is not None:
            self.check(text)
        return self.kind(text)


def switch(*flags: str, help: str, hidden: bool = False, opposite: str = "") -> Any:
    """A flag without a value, but for "=true" and "=false" (``switches``); False unless given."""
    return _field(False, flags=flags, help=help, kind=bool, hidden=hidden, opposite=opposite)


def value(
    *flags: str,
    help: str,
    default: Any = None,
    kind: type = str,
    metavar: str = "",
    choices: tuple[str, ...] = (),
    check: Callable[[str], object] | None = None,
) -> Any:
    """A flag with one value; the last one given counts."""
    return _field(default, flags=flags, help=help, kind=kind, metavar=metavar, choices=choices, check=check)


def values(
    *flags: str,
    help: str,
    metavar: str = "",
    choices: tuple[str, ...] = (),
    check: Callable[[str], object] | None = None,
) -> Any:
    """A flag that can be given several times."""
    return _field((), flags=flags, help=help, kind=str, metavar=metavar, many=True, choices=choices, check=check)


def argument(help: str, *, metavar: str, many: bool = False, required: bool = False) -> Any:
    """A positional argument. One with ``many`` takes all the rest and must come last."""
    default: Any = () if many else ""
    return _field(default, flags=(), help=help, kind=str, metavar=metavar, many=many, required=required)


def _field(default: Any, **declaration: Any) -> Any:
    return field(default=default, metadata={"option": {**declaration, "default": default}})


def options_of(request: type) -> tuple[Option, ...]:
    """The declarations of a request class, in order."""
    return tuple(
        Option(name=item.name, **item.metadata["option"])
        for item in dataclasses.fields(request)
        if "option" in item.metadata
    )
