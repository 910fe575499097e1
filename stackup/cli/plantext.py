"""A plan as text: exactly ``model.plan.Plan.text``, in colour on a terminal."""

from __future__ import annotations

import re
import textwrap
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


_HEAD = re.compile(r" *\d+  \w+ +|  [!?] | *")  # what stands before an object, or a remark
LEAST = 20  # columns that are left to the right of it, or nothing is wrapped


def text(plan: dict[str, Any], *, colour: bool = False, width: int = 0) -> str:
    """``plan`` is an event of that kind. ``width``: columns of a terminal, 0: lines may be of any length."""
    plain = Plan.from_dict(plan).text()
    pieces = [_wrapped(line, width) for line in plain.splitlines()]
    lines = (line for first, *rest in pieces for line in (_coloured(first) if colour else first, *rest))
    return "".join(f"{line}\n" for line in lines)


def _wrapped(line: str, width: int) -> list[str]:
    """What does not fit goes on below, a little to the right of the object. Values are not torn."""
    head = _HEAD.match(line)
    indent = (head.end() if head else 0) + 2
    if not width or len(line) <= width or width - indent < LEAST:
        return [line]
    return textwrap.wrap(
        line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False, expand_tabs=False
    )


def _coloured(line: str) -> str:
    if found := _ACTION.fullmatch(line):
        number, gap, verb, rest, after = found.groups()
        return f"{paint(number, 'dim')}{gap}{paint(verb, COLOURS.get(verb, ''))}{rest}{paint(after or '', 'dim')}"
    if found := _REMARK.fullmatch(line):
        return f"{found[1]}{paint(found[2], MARKS[found[2]])}{found[3]}"
    return line if line.startswith("    ") else paint(line, "bold")
