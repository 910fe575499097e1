"""A plan as text: the same lines as ``model.plan.Plan.text``, in colour on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stackup.cli.terminal import paint

COLOURS = {
    "build": "cyan",
    "pull": "cyan",
    "create": "green",
    "start": "green",
    "stop": "yellow",
    "kill": "red",
    "remove": "red",
    "wait": "dim",
}


def lines(project: str, plan: dict[str, Any], *, colour: bool = False) -> Iterator[str]:
    """One line an action, then notices (!) and questions (?)."""
    tint = paint if colour else _plain
    if not plan["actions"]:
        yield f"{project}: nothing to do"
    numbers = {action["id"]: index for index, action in enumerate(plan["actions"], 1)}
    for index, action in enumerate(plan["actions"], 1):
        after = ",".join(str(numbers[item]) for item in action.get("after", ()) if item in numbers)
        tail = tint(f"  (after {after})", "dim") if after else ""
        head = tint(f"{index:>3}", "dim")
        yield f"{head} {tint(action['text'], COLOURS.get(action['verb'], ''))} — {action['reason']}{tail}"
    for notice in plan.get("notices", ()):
        yield f"  {tint('!', 'yellow')} {notice if isinstance(notice, str) else notice['text']}"
    for question in plan.get("questions", ()):
        yield f"  {tint('?', 'magenta')} {question['text']}"


def _plain(text: str, colour: str) -> str:
    return text
