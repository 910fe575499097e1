"""What the user asked for: the verb, the stack and the options, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from enum import StrEnum
from types import MappingProxyType

from stackup.base.values import frozen
from stackup.model.stack import Stack


class Verb(StrEnum):
    UP = "up"
    CREATE = "create"  # up without starting anything
    DOWN = "down"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    REMOVE = "rm"  # containers that are not running
    BUILD = "build"
    PULL = "pull"


@frozen
class Answers:
    """To the questions of a plan. ``given`` by id; ``otherwise`` is that to all others, None: nobody has said anything.
    ``asks``: somebody is there to be asked, so that nothing is decided without him."""

    given: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    otherwise: bool | None = None
    asks: bool = True

    def of(self, question: str) -> bool | None:
        return self.given.get(question, self.otherwise)


@frozen
class Desired:
    """Input of ``decide``. Each option is that of the docker compose command of the same name.

    ``stack`` may be None for the verbs that work from records alone: down, start, stop, restart, kill, pause, unpause,
    rm; down then means the whole project. ``services`` empty means all. Durations are seconds; ``timeout`` None is each
    container's own grace period.
    """

    verb: Verb
    stack: Stack | None = None
    services: tuple[str, ...] = ()
    no_deps: bool = False
    force_recreate: bool = False
    always_recreate_deps: bool = False
    no_recreate: bool = False
    renew_anonymous_volumes: bool = False
    build: bool = False
    no_build: bool = False
    ignore_buildable: bool = False  # pull: not what can be built
    pull: str = ""  # overrides each service's pull_policy: always, missing, never
    quiet_pull: bool = False  # nothing is told of a pull's progress
    images_settled: bool = False  # builds and pulls that were asked for have been done
    scale: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    wait: bool = False
    wait_timeout: float | None = None
    timeout: float | None = None
    remove_volumes: bool = False
    remove_orphans: bool = False
    stop_first: bool = False  # rm: what runs is stopped and removed, too
    now: bool = False  # start: what has a schedule runs before its time
    rollback: bool = False  # the stack holds the previous configuration of services
    automatic: bool = False  # a rollback, because an update has failed
    signal: str = "SIGKILL"
    at_once: int = 0  # actions that may be under way at a time; 0: any number
    answers: Answers = field(default_factory=Answers)

    def after_images(self) -> Desired:
        """The same wish once ``Plan.image_stage()`` has been carried out."""
        return replace(self, images_settled=True)
