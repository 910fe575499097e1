"""What is: a snapshot of one project, taken by ``engine.observe`` from records and kernel state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from stackup.base.values import frozen


class Phase(StrEnum):
    """Life cycle of one container. Only ``engine`` moves a container from one to another."""

    CREATED = "created"  # bundle on disk, never started
    STARTING = "starting"  # handed to the launcher
    RUNNING = "running"
    PAUSED = "paused"  # its processes are there, and do nothing
    RESTARTING = "restarting"  # ended; its policy starts it again after a delay
    STOPPING = "stopping"  # asked to end
    EXITED = "exited"  # ended and stays so
    REMOVING = "removing"


LIVE = frozenset({Phase.STARTING, Phase.RUNNING, Phase.PAUSED, Phase.RESTARTING, Phase.STOPPING})


class Health(StrEnum):
    NONE = "none"  # no health check is configured
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@frozen
class ObservedContainer:
    """``exit_code`` is None while running, before the first start, and when nobody could observe the exit
    (``exit_unknown``). ``config`` is the service configuration it was created from (``planner.service_config``), for
    diffs by key and, when there is no stack file, for the order of stopping. While a container is being replaced, two
    have the same name; an ``id`` is never used twice. ``oneoff``: made by ``run``, no replica of its service."""

    id: str
    name: str
    service: str
    number: int
    phase: Phase
    config_hash: str
    config: Mapping[str, Any]
    image: str
    image_id: str
    health: Health = Health.NONE
    exit_code: int | None = None
    exit_unknown: bool = False
    stopped_by_user: bool = False
    networks: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # network key -> network id
    volumes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # target -> volume name
    namespaces_of: tuple[str, ...] = ()  # ids of containers whose namespaces it shares
    stale_namespaces: bool = False  # a container of ``namespaces_of`` has ended or started again since this one started
    anonymous_volumes: tuple[str, ...] = ()  # names; also in ``volumes``
    oneoff: bool = False
    updating: bool = False  # an update in place was begun, and nobody knows how far it came
    unprepared: str = ""  # which of its post_start commands has failed, and how
    success_codes: tuple[int, ...] = (0,)
    scheduled: bool = False  # it runs at times
    damage: str = ""  # what of it, or of its volumes, somebody has deleted on the disk
    files: tuple[str, ...] = ()  # the stack files that it was made from, those that still exist
    trial_for: str = ""  # id of the container whose place it takes, until a rolling update has found it good

    @property
    def live(self) -> bool:
        """True while there is, or will be again by itself, a process to stop."""
        return self.phase in LIVE

    @property
    def completed(self) -> bool:
        """True when it ended by itself with success."""
        return self.phase is Phase.EXITED and self.exit_code in self.success_codes and not self.stopped_by_user


@frozen
class ObservedNetwork:
    """``external``: exists, but belongs to somebody else; listed because the stack file refers to its ``name``."""

    key: str
    name: str
    id: str
    config_hash: str
    config: Mapping[str, Any]
    external: bool = False


@frozen
class ObservedVolume:
    """``key`` is empty for anonymous volumes and for those that the stack file does not name (any more).
    ``external``: exists, but is not this project's; listed because the stack file refers to its ``name``.
    ``deleted``: it is recorded, but its directory is gone."""

    name: str
    key: str
    config_hash: str
    config: Mapping[str, Any]
    external: bool = False
    anonymous: bool = False
    deleted: bool = False


@frozen
class ImageMarks:
    """Of an image that is here: ``age`` in seconds since its registry was asked last, None when it never was;
    ``platform`` as in linux/amd64, "" when it does not tell."""

    age: float | None = None
    platform: str = ""


@frozen
class Observed:
    """``images`` maps every reference that the desired stack mentions to its image id, None where it is absent.
    ``image_marks`` has those whose service says how old they may be, or for which platform."""

    project: str
    containers: tuple[ObservedContainer, ...] = ()
    networks: tuple[ObservedNetwork, ...] = ()
    volumes: tuple[ObservedVolume, ...] = ()
    images: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    image_marks: Mapping[str, ImageMarks] = field(default_factory=lambda: MappingProxyType({}))
