"""What a plan consists of: actions, each with one effect on one object.

An action names its object and why it happens; it holds no policy. ``after`` lists the ids of actions that must have
succeeded first: when one of them fails, this one is not started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

from stackup.base.values import frozen


@frozen
class Action:
    """``id`` is unique within the plan and stable for equal inputs, e.g. ``start shop-web-1``.

    ``reason`` is one line, in which long values are shortened; ``changes`` are all changed keys with whole values,
    ``shown`` the same, shortened, where they are too many for the reason: a line each.
    """

    id: str
    reason: str
    after: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()

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
        for name in ("changes", "shown"):
            if not values[name]:
                del values[name]
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
    anonymous volumes. The old one is usually still there, under the same name, and may be running. ``on_trial``: a
    ``Watch`` is to find it good."""

    replaces: str = ""
    inherit: bool = True
    on_trial: bool = False
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
    """``timeout`` in seconds before SIGKILL; None takes the container's own grace period, negative waits for ever.
    ``returns``: to be started again as it is, also if this plan is cut short in between."""

    timeout: float | None = None
    returns: bool = False
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
    """Succeeds when the containers ``names`` are running or healthy and stay so for ``seconds``: they are on trial no
    more. ``ids`` are theirs, "" for one that this plan makes. ``tolerated`` of a service's containers may fail
    meanwhile, -1: any number.

    ``withdraw``: what has failed is taken away again, for what it was to replace still runs. ``rollback``: a failure
    brings the service back to its previous configuration, by a plan of its own.
    """

    service: str
    names: tuple[str, ...]
    ids: tuple[str, ...] = ()
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
