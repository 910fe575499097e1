"""A plan as text: exactly ``model.plan.Plan.text``, in colour on a terminal."""

from __future__ import annotations

import re
from typing import Any

from stackup.cli.terminal import paint
from stackup.model.plan import Plan

COLOURS = {
    "build": "cyan",
    "pull": "cyan",
    "create": "green",
    "start": "green",
    "update": "yellow",
    "stop": "yellow",
    "kill": "red",
    "remove": "red",
    "watch": "dim",
    "pause": "dim",
    "wait": "dim",
}
MARKS = {"!": "yellow", "?": "magenta"}
_ACTION = re.compile(r"( *\d+)(  )(\w+)(.*?)( +after [\d, ]+)?")
_REMARK = re.compile(r"(  )([!?])( .*)")


def text(plan: dict[str, Any], *, colour: bool = False) -> str:
    """``plan`` is an event of that kind."""
    plain = Plan.from_dict(plan).text()
    return "".join(f"{_coloured(line)}\n" for line in plain.splitlines()) if colour else plain


def _coloured(line: str) -> str:
    if found := _ACTION.fullmatch(line):
        number, gap, verb, rest, after = found.groups()
        return f"{paint(number, 'dim')}{gap}{paint(verb, COLOURS.get(verb, ''))}{rest}{paint(after or '', 'dim')}"
    if found := _REMARK.fullmatch(line):
        return f"{found[1]}{paint(found[2], MARKS[found[2]])}{found[3]}"
    return paint(line, "bold")
