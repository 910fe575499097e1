"""What is: a snapshot of one project, taken by ``engine.observe`` from records and kernel state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Phase(StrEnum):
    """Life cycle of one container. Only ``engine`` moves a container from one to another."""

    CREATED = "created"  # bundle on disk, never started
    STARTING = "starting"  # handed to the launcher
    RUNNING = "running"
    RESTARTING = "restarting"  # ended; its policy starts it again after a delay
    STOPPING = "stopping"  # asked to end
    EXITED = "exited"  # ended and stays so
    REMOVING = "removing"


class Health(StrEnum):
    NONE = "none"  # no health check is configured
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class ObservedContainer:
    """``exit_code`` is None while running, before the first start, and when nobody could observe the exit
    (``exit_unknown``). ``config`` is the canonical service configuration it was created from, for diffs by key."""

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


@dataclass(frozen=True, slots=True)
class ObservedNetwork:
    key: str
    name: str
    id: str
    config_hash: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ObservedVolume:
    """``key`` is empty for anonymous volumes and for those that the stack file does not name (any more)."""

    name: str
    key: str
    config_hash: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Observed:
    """``images`` maps every reference that the desired stack mentions to its image id, None where it is absent."""

    project: str
    containers: tuple[ObservedContainer, ...] = ()
    networks: tuple[ObservedNetwork, ...] = ()
    volumes: tuple[ObservedVolume, ...] = ()
    images: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
