"""What a failed plan takes away again of what it has made. Pure: ``effects`` does it, and says so.

What has run stays to be looked at, and so does what could not be started: ``ps -a`` and ``logs`` say why, the next
``up`` tries again. Only two kinds go: what stands beside the container whose place it was to take, and all of a
project that had nothing before and of which nothing has run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from stackup.planner.words import listed


class Made(Protocol):
    """A container of the plan's making, as far as this is concerned."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


def stands_beside(made: Made, others: Iterable[Made], replaced: Mapping[str, str]) -> bool:
    """Whether the container whose place ``made`` was to take is there still. ``replaced``: by id, the id of that."""
    return any(other.id == replaced.get(made.id) or other.name == made.name for other in others if other.id != made.id)


def withdrawn_text(made: Sequence[Made]) -> str:
    """Of a project that had nothing before; "" when there is nothing to be told."""
    if not made:
        return ""
    were = "was" if len(made) == 1 else "were"
    return f"{listed(item.name for item in made)} {were} removed again: nothing of the project runs"


def superseded_text(made: Made) -> str:
    return f"{made.name} was not replaced: its successor could not be started and was removed again"
