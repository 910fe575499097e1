"""What to do: a printable, frozen DAG of one-effect ``actions``. ``planner`` makes it, ``engine.apply`` carries it out.

The printed plan is the test oracle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stackup.base.values import frozen
from stackup.model.actions import (
    Action,
    BuildImage,
    ContainerAction,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    KillContainer,
    NetworkAction,
    Pause,
    PauseContainer,
    PullImage,
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    ServiceImage,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    UpdateContainer,
    VolumeAction,
    WaitFor,
    Watch,
)

__all__ = [
    "FORMAT_VERSION",
    "Action",
    "BuildImage",
    "ContainerAction",
    "CreateContainer",
    "CreateNetwork",
    "CreateVolume",
    "KillContainer",
    "NetworkAction",
    "Notice",
    "Pause",
    "PauseContainer",
    "Plan",
    "PullImage",
    "Question",
    "RemoveContainer",
    "RemoveNetwork",
    "RemoveVolume",
    "ServiceImage",
    "StartContainer",
    "StopContainer",
    "UnpauseContainer",
    "UpdateContainer",
    "VolumeAction",
    "WaitFor",
    "Watch",
]

FORMAT_VERSION = 1  # of to_dict


@frozen
class Notice:
    """A warning as data: printed by the CLI, never by the planner."""

    text: str


@frozen
class Question:
    """Something destructive or risky that the user must allow. ``default`` is what happens without an answer.

    ``hint`` says how to answer for good, ``about`` is the path of the value in the stack file that brings it up.
    ``spared``: after a no everything else is carried out; else nothing is.
    """

    id: str
    text: str
    default: bool = False
    hint: str = ""
    about: str = ""
    spared: bool = False

    def to_dict(self) -> dict[str, Any]:
        more = {"hint": self.hint, "about": self.about, "spared": self.spared}
        return {"id": self.id, "text": self.text, "default": self.default, **{key: v for key, v in more.items() if v}}


@frozen
class Plan:
    """``actions`` stand in an order that respects ``after``: each comes behind all that it waits for."""

    project: str
    actions: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    questions: tuple[Question, ...] = ()

    def __iter__(self) -> Iterator[Action]:
        return iter(self.actions)

    def __bool__(self) -> bool:
        return bool(self.actions)

    @property
    def undecided(self) -> bool:
        """True when the result of a build or pull decides what else is to be done: carry out ``image_stage()``, look
        again, and decide again with ``Desired.after_images()``."""
        return any(isinstance(action, ServiceImage) and action.decides for action in self.actions)

    def image_stage(self) -> Plan:
        """Only the builds and pulls."""
        actions = tuple(action for action in self.actions if isinstance(action, ServiceImage))
        return Plan(self.project, actions)

    def text(self) -> str:
        """One line an action: number, what is done, why, and the numbers of those it waits for; below it the changes
        that the reason has no room for. The test oracle."""
        lines = [f"{self.project}: {_count(self.actions, self.questions)}", *_table(self.actions)]
        lines += [f"  ! {notice.text}" for notice in self.notices]
        lines += [f"  ? {question.text} (default: {_yes_no(question.default)})" for question in self.questions]
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        return {
            "version": FORMAT_VERSION,
            "project": self.project,
            "actions": [action.to_dict() for action in self.actions],
            "notices": [notice.text for notice in self.notices],
            "questions": [item.to_dict() for item in self.questions],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Raises ValueError when ``data`` is not a plan of this format."""
        if data.get("version") != FORMAT_VERSION:
            raise ValueError(f"plan format {data.get('version')!r}, expected {FORMAT_VERSION}")
        try:
            return cls(
                project=data["project"],
                actions=tuple(Action.from_dict(item) for item in data["actions"]),
                notices=tuple(Notice(text) for text in data["notices"]),
                questions=tuple(Question(**item) for item in data["questions"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a plan: {error}") from error


def _count(actions: tuple[Action, ...], questions: tuple[Question, ...]) -> str:
    counted = [f"{len(actions)} action{'s' if len(actions) > 1 else ''}"] if actions else []
    if questions:
        counted.append("1 question waits" if len(questions) == 1 else f"{len(questions)} questions wait")
        counted[-1] += " for an answer"
    return ", ".join(counted) or "nothing to do"


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _table(actions: tuple[Action, ...]) -> list[str]:
    """Columns: number, verb, object, reason, what it waits for. A long entry pushes its own line only."""
    numbers = {action.id: index for index, action in enumerate(actions, 1)}
    objects = [action.describe().removeprefix(action.verb).strip() for action in actions]
    verb_width = max((len(action.verb) for action in actions), default=0)
    object_width = _width(objects, 56)
    reason_width = _width([action.reason for action in actions if action.after], 48)
    lines = []
    for action, item in zip(actions, objects, strict=True):
        line = f"{numbers[action.id]:>4}  {action.verb:<{verb_width}}  {item:<{object_width}}  "
        after = ", ".join(str(number) for number in sorted(numbers[name] for name in action.after))
        lines.append(line + (f"{action.reason:<{reason_width}}  after {after}" if after else action.reason))
        lines += [f"{'':{verb_width + 8}}{change}" for change in action.shown]
    return lines


def _width(texts: list[str], most: int) -> int:
    """Of the column that ``texts`` stand in: the longest that is not longer than ``most``."""
    return max((len(text) for text in texts if len(text) <= most), default=0)
