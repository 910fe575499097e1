"""The grammar as a catalogue: every attribute with its path, its form and what ``descriptions`` says of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from stackup.base.values import frozen
from stackup.stackfile.descriptions import TEXT
from stackup.stackfile.forms import Form, MapOf, Record
from stackup.stackfile.grammar import STACK
from stackup.stackfile.listforms import ListOf
from stackup.stackfile.shortforms import Names, UlimitForm
from stackup.stackfile.wrappers import Probe, Replaced, Short, Typed


@frozen
class About:
    """``examples`` are YAML texts; ``default`` is prose, empty where there is none."""

    summary: str
    default: str = ""
    examples: tuple[str, ...] = ()


@frozen
class Attribute:
    """``path`` has ``*`` for chosen names and for items of lists. ``record`` is the noun of its owner."""

    path: tuple[str, ...]
    record: str
    form: Form

    @property
    def text(self) -> str:
        return ".".join(self.path)


@cache
def descriptions() -> dict[tuple[str, str], About]:
    """By the noun of the record and the name of the attribute."""
    result: dict[tuple[str, str], About] = {}
    record = ""
    for line in TEXT.strip().splitlines():
        if line.startswith("["):
            record = line.strip("[]")
        elif line:
            name, summary, default, examples = (f"{line} | | ".split(" |", 4))[:4]
            shown = tuple(item.strip() for item in examples.split(" ; ") if item.strip())
            result[record, name.strip()] = About(summary.strip(), default.strip(), shown)
    return result


def inner(form: Form) -> Form:
    """What a form reads to, without the short syntaxes and rules around it."""
    while True:
        if isinstance(form, Short):
            form = form.long
        elif isinstance(form, Replaced):
            form = form.form
        elif isinstance(form, Names):
            form = form.mapping
        elif isinstance(form, UlimitForm):
            form = form.long
        elif isinstance(form, Typed | Probe):
            form = form.record
        else:
            return form


def attributes(form: Form = STACK, path: tuple[str, ...] = ()) -> Iterator[Attribute]:
    """Every attribute at any depth, in the order of the grammar."""
    form = inner(form)
    if isinstance(form, Record):
        for name, child in form.fields.items():
            yield Attribute((*path, name), form.noun, child)
            yield from attributes(child, (*path, name))
    elif isinstance(form, MapOf | ListOf):
        yield from attributes(form.item, (*path, "*"))


def about(path: str) -> About | None:
    """What is known of the attribute at a path of a real stack (``services.web.restart``); None for no attribute."""
    form: Form = STACK
    found: About | None = None
    for key in path.split("."):
        form = inner(form)
        found = None
        if isinstance(form, Record):
            if key not in form.fields:
                return None
            found = descriptions().get((form.noun, key), About(""))
            form = form.fields[key]
        elif isinstance(form, MapOf | ListOf):
            form = form.item
        else:
            return None
    return found
