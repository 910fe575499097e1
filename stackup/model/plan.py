"""What to do: a printable, frozen DAG of one-effect actions. ``planner`` makes it, ``engine.apply`` carries it out.

An action names its object and why it happens; it holds no policy. ``after`` lists the ids of actions that must have
succeeded first: when one of them fails, this one is not started. The printed plan is the test oracle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Action:
    """``id`` is unique within the plan and stable for equal inputs, e.g. ``start shop-web-1``."""

    id: str
    reason: str
    after: tuple[str, ...] = ()

    verb: ClassVar[str] = ""

    @property
    def target(self) -> str:
        """The object in the user's words: ``container shop-web-1``."""
        raise NotImplementedError

    def describe(self) -> str:
        return f"{self.verb} {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceImage(Action):
    """Base of actions that make an image present for a service."""

    service: str
    image: str

    @property
    def target(self) -> str:
        return f"image {self.image}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildImage(ServiceImage):
    verb: ClassVar[str] = "build"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullImage(ServiceImage):
    verb: ClassVar[str] = "pull"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAction(Action):
    """``key`` is the name inside the stack file, ``name`` the full one."""

    key: str
    name: str

    @property
    def target(self) -> str:
        return f"network {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetwork(NetworkAction):
    verb: ClassVar[str] = "create"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveNetwork(NetworkAction):
    verb: ClassVar[str] = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeAction(Action):
    key: str
    name: str

    @property
    def target(self) -> str:
        return f"volume {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume(VolumeAction):
    verb: ClassVar[str] = "create"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveVolume(VolumeAction):
    verb: ClassVar[str] = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerAction(Action):
    """``container_id`` is empty where the container does not exist yet when the plan is made."""

    service: str
    number: int
    name: str
    container_id: str = ""

    @property
    def target(self) -> str:
        return f"container {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContainer(ContainerAction):
    """``replaces`` is the id of the container whose anonymous volumes it inherits."""

    replaces: str = ""
    verb: ClassVar[str] = "create"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartContainer(ContainerAction):
    verb: ClassVar[str] = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopContainer(ContainerAction):
    """``timeout`` in seconds before SIGKILL; None takes the container's own grace period, negative waits for ever."""

    timeout: float | None = None
    verb: ClassVar[str] = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class KillContainer(ContainerAction):
    signal: str = "SIGKILL"
    verb: ClassVar[str] = "kill"

    def describe(self) -> str:
        return f"kill {self.target} with {self.signal}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveContainer(ContainerAction):
    """``volumes``: its anonymous volumes go with it."""

    volumes: bool = False
    verb: ClassVar[str] = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFor(Action):
    """Succeeds when ``service`` meets ``condition``; fails as soon as it no longer can.

    ``condition`` is one of service_started, service_healthy, service_completed_successfully (Compose), or
    ``running_or_healthy``, what ``up --wait`` waits for. With ``required`` false a failure is only a warning.
    """

    service: str
    condition: str
    required: bool = True
    timeout: float | None = None
    verb: ClassVar[str] = "wait"

    @property
    def target(self) -> str:
        return f"service {self.service}"

    def describe(self) -> str:
        words = {
            "service_started": "has started",
            "service_healthy": "is healthy",
            "service_completed_successfully": "has completed successfully",
            "running_or_healthy": "is running or healthy",
        }
        return f"wait until {self.target} {words[self.condition]}"


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning as data: printed by the CLI, never by the planner."""

    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """Something destructive that the user must allow. ``default`` is what happens without an answer."""

    id: str
    text: str
    default: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    project: str
    actions: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    questions: tuple[Question, ...] = ()

    def __iter__(self) -> Iterator[Action]:
        return iter(self.actions)

    def __bool__(self) -> bool:
        return bool(self.actions)

    def text(self) -> str:
        """One line an action, in an order that respects ``after``; reasons behind an em dash. The test oracle."""
        if not self.actions:
            return f"{self.project}: nothing to do\n"
        numbers = {action.id: index for index, action in enumerate(self.actions, 1)}
        lines = []
        for index, action in enumerate(self.actions, 1):
            after = ",".join(str(numbers[item]) for item in action.after)
            lines.append(f"{index:>3} {action.describe()} — {action.reason}" + (f"  (after {after})" if after else ""))
        lines += [f"  ! {notice.text}" for notice in self.notices]
        lines += [f"  ? {question.text}" for question in self.questions]
        return "\n".join(lines) + "\n"
