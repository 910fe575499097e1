"""What to do: a printable, frozen DAG of one-effect actions. ``planner`` makes it, ``engine.apply`` carries it out.

An action names its object and why it happens; it holds no policy. ``after`` lists the ids of actions that must have
succeeded first: when one of them fails, this one is not started. The printed plan is the test oracle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, ClassVar

from stackup.base.values import frozen

FORMAT_VERSION = 1  # of to_dict


@frozen
class Action:
    """``id`` is unique within the plan and stable for equal inputs, e.g. ``start shop-web-1``.

    ``reason`` is one line, in which long values are shortened; ``changes`` are all changed keys with whole values.
    """

    id: str
    reason: str
    after: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    verb: ClassVar[str] = ""
    kinds: ClassVar[dict[str, type[Action]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        Action.kinds[cls.__name__] = cls

    @property
    def target(self) -> str:
        """The object in the user's words: ``container shop-web-1``."""
        raise NotImplementedError

    @property
    def tolerant(self) -> bool:
        """True when it is carried out once all of ``after`` have ended, however they ended."""
        return False

    def describe(self) -> str:
        return f"{self.verb} {self.target}"

    def to_dict(self) -> dict[str, Any]:
        """``type`` and the fields; ``verb``, ``target`` and ``text`` are there for readers only."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        if not self.changes:
            del values["changes"]
        described = {"type": type(self).__name__, "verb": self.verb, "target": self.target, "text": self.describe()}
        return described | {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Action:
        """Raises KeyError or TypeError for what ``to_dict`` did not make."""
        cls = Action.kinds[data["type"]]
        names = {item.name for item in fields(cls)}
        values: dict[str, Any] = {key: value for key, value in data.items() if key in names}
        for key, value in values.items():
            if isinstance(value, list):
                values[key] = tuple(value)
        return cls(**values)


@frozen(kw_only=True)
class ServiceImage(Action):
    """Base of actions that make an image present for a service.

    ``decides`` names the existing containers that are replaced if the image turns out to be another one than theirs.
    Which it will be is not known beforehand: see ``Plan.undecided``.
    """

    service: str
    image: str
    decides: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return f"image {self.image}"


@frozen(kw_only=True)
class BuildImage(ServiceImage):
    verb: ClassVar[str] = "build"


@frozen(kw_only=True)
class PullImage(ServiceImage):
    """From its registry. ``platform`` empty: this machine's. ``required`` False: where the registry cannot be asked,
    what is here will do."""

    platform: str = ""
    required: bool = True
    verb: ClassVar[str] = "pull"


@frozen(kw_only=True)
class NetworkAction(Action):
    """``key`` is the name inside the stack file, ``name`` the full one."""

    key: str
    name: str

    @property
    def target(self) -> str:
        return f"network {self.name}"


@frozen(kw_only=True)
class CreateNetwork(NetworkAction):
    verb: ClassVar[str] = "create"


@frozen(kw_only=True)
class RemoveNetwork(NetworkAction):
    verb: ClassVar[str] = "remove"


@frozen(kw_only=True)
class VolumeAction(Action):
    key: str
    name: str

    @property
    def target(self) -> str:
        return f"volume {self.name}"


@frozen(kw_only=True)
class CreateVolume(VolumeAction):
    verb: ClassVar[str] = "create"


@frozen(kw_only=True)
class RemoveVolume(VolumeAction):
    verb: ClassVar[str] = "remove"


@frozen(kw_only=True)
class ContainerAction(Action):
    """``container_id`` is empty where the container does not exist yet when the plan is made: the container meant is
    then the one that this plan creates under that name."""

    service: str
    number: int
    name: str
    container_id: str = ""

    @property
    def target(self) -> str:
        return f"container {self.name}"


@frozen(kw_only=True)
class CreateContainer(ContainerAction):
    """``replaces`` is the id of the container that it takes the place of; with ``inherit`` it takes over that one's
    anonymous volumes. The old one is usually still there, under the same name, and may be running."""

    replaces: str = ""
    inherit: bool = True
    verb: ClassVar[str] = "create"


@frozen(kw_only=True)
class UpdateContainer(ContainerAction):
    """What has changed of it in the stack file, or in its networks, is changed in place: it stays the same container,
    and keeps running where it runs."""

    verb: ClassVar[str] = "update"


@frozen(kw_only=True)
class StartContainer(ContainerAction):
    """``now``: even if it has a schedule, which it follows again afterwards."""

    now: bool = False
    verb: ClassVar[str] = "start"


@frozen(kw_only=True)
class StopContainer(ContainerAction):
    """``timeout`` in seconds before SIGKILL; None takes the container's own grace period, negative waits for ever."""

    timeout: float | None = None
    verb: ClassVar[str] = "stop"


@frozen(kw_only=True)
class KillContainer(ContainerAction):
    signal: str = "SIGKILL"
    verb: ClassVar[str] = "kill"

    def describe(self) -> str:
        return f"kill {self.target} with {self.signal}"


@frozen(kw_only=True)
class PauseContainer(ContainerAction):
    verb: ClassVar[str] = "pause"


@frozen(kw_only=True)
class UnpauseContainer(ContainerAction):
    verb: ClassVar[str] = "unpause"


@frozen(kw_only=True)
class RemoveContainer(ContainerAction):
    """``volumes``: its anonymous volumes go with it."""

    volumes: bool = False
    verb: ClassVar[str] = "remove"


@frozen(kw_only=True)
class WaitFor(Action):
    """Succeeds when ``service`` meets ``condition``; fails as soon as it no longer can.

    ``condition`` is one of service_started, service_healthy, service_completed_successfully (Compose), or
    ``running_or_healthy``, what ``up --wait`` waits for: healthy where there is a health check, else running; a
    container that ended with 0 and is not restarted counts. With ``required`` false it never fails: that the
    condition cannot be met is only a warning. ``timeout`` in seconds, None waits for ever.
    """

    service: str
    condition: str
    required: bool = True
    timeout: float | None = None
    verb: ClassVar[str] = "wait"

    @property
    def target(self) -> str:
        return f"service {self.service}"

    @property
    def tolerant(self) -> bool:
        return not self.required

    def describe(self) -> str:
        words = {
            "service_started": "has started",
            "service_healthy": "is healthy",
            "service_completed_successfully": "has completed successfully",
            "running_or_healthy": "is running or healthy",
        }
        return f"wait until {self.target} {words[self.condition]}"


@frozen(kw_only=True)
class Watch(Action):
    """Succeeds when the containers ``names``, which this plan has made, are running or healthy and stay so for
    ``seconds``. ``tolerated`` of a service's containers may fail meanwhile, -1: any number.

    ``withdraw``: what has failed is taken away again, for what it was to replace still runs. ``rollback``: a failure
    brings the service back to its previous configuration, by a plan of its own.
    """

    service: str
    names: tuple[str, ...]
    seconds: float = 0.0
    tolerated: int = 0
    rollback: bool = False
    withdraw: bool = False
    verb: ClassVar[str] = "watch"

    @property
    def target(self) -> str:
        return f"container {', '.join(self.names)}"

    @property
    def tolerant(self) -> bool:
        return self.tolerated < 0

    def describe(self) -> str:
        back = ", roll back if it fails" if self.rollback else ""
        return f"watch {self.target} for {self.seconds:g} s{back}"


@frozen(kw_only=True)
class Pause(Action):
    service: str
    seconds: float
    verb: ClassVar[str] = "pause"

    @property
    def target(self) -> str:
        return f"service {self.service}"

    def describe(self) -> str:
        return f"pause {self.target} for {self.seconds:g} s"


@frozen
class Notice:
    """A warning as data: printed by the CLI, never by the planner."""

    text: str


@frozen
class Question:
    """Something destructive or risky that the user must allow. ``default`` is what happens without an answer.

    ``hint`` says how to answer for good, ``about`` is the path of the value in the stack file that brings it up.
    """

    id: str
    text: str
    default: bool = False
    hint: str = ""
    about: str = ""

    def to_dict(self) -> dict[str, Any]:
        more = {"hint": self.hint, "about": self.about}
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
        """One line an action: number, what is done, why, and the numbers of those it waits for. The test oracle."""
        lines = [f"{self.project}: {_count(self.actions)}", *_table(self.actions)]
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


def _count(actions: tuple[Action, ...]) -> str:
    if not actions:
        return "nothing to do"
    return "1 action" if len(actions) == 1 else f"{len(actions)} actions"


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
    return lines


def _width(texts: list[str], most: int) -> int:
    """Of the column that ``texts`` stand in: the longest that is not longer than ``most``."""
    return max((len(text) for text in texts if len(text) <= most), default=0)
