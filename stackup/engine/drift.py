"""What to do about what somebody changed behind stackup's back. Pure: what was seen and the time come in.

What can be put back under a running container is put back; where that has failed once, or cannot be, the container is
started again. Whoever takes the same thing away again and again meets longer and longer pauses, not a busy machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any

from stackup.base.values import as_mapping, frozen
from stackup.engine.suspicion import Suspicion
from stackup.model.plan import Action, Plan
from stackup.model.repairs import Reconnect, Relimit, RemakeNetwork, Remount, RenewContainer

AT_ONCE = 3  # repairs of one thing that do not wait
FIRST_PAUSE = 1.0  # seconds before the next one; doubled each time ...
LONGEST_PAUSE = 60.0  # ... up to this
QUIET = 120.0  # seconds after which a repair counts as the first one again


class Kind(StrEnum):
    """What is at fault."""

    BRIDGE = "bridge"
    LINK = "link"
    MOUNT = "mount"  # bound from the host: can be bound again
    LOST_MOUNT = "lost mount"  # a file system of its own, whose contents went with it
    LIMIT = "limit"
    PIPE = "pipe"  # the name of one; what is written into it still arrives
    DELETED = "deleted"  # what only a new container can have again

    @property
    def can_be_put_back(self) -> bool:
        """Under a running container; else it is told."""
        return self not in (Kind.PIPE, Kind.DELETED)


@frozen
class Drift:
    """``container_id`` is empty for a bridge. ``network``: the key, of a bridge or link. ``text`` says what is wrong,
    to follow on the object's name; ``part`` names the mount point or file."""

    kind: Kind
    text: str
    container_id: str = ""
    network: str = ""
    part: str = ""
    suspicion: Suspicion = ("", "", "")  # how to look at it again

    @property
    def key(self) -> str:
        """What has one pause."""
        return f"{self.container_id or self.network} {self.kind}"


@frozen
class Place:
    """A container in the words of actions."""

    service: str
    number: int
    name: str


def plan_repairs(
    project: str,
    drifts: Iterable[Drift],
    places: Mapping[str, Place],
    networks: Mapping[str, str],
    failed: Collection[str] = (),
) -> Plan:
    """``places`` by container id, ``networks`` key -> name; ``failed``: ids of containers whose repair has failed."""
    actions: list[Action] = []
    bridges: dict[str, str] = {}
    by_container: dict[str, list[Drift]] = {}
    for drift in drifts:
        if drift.container_id:
            by_container.setdefault(drift.container_id, []).append(drift)
        elif drift.network not in bridges:
            name = networks[drift.network]
            action = RemakeNetwork(f"restore {drift.network}", f"its bridge {drift.text}", key=drift.network, name=name)
            bridges[drift.network] = action.id
            actions.append(action)
    for container_id, found in by_container.items():
        actions += _of_container(container_id, places[container_id], found, bridges, container_id in failed)
    return Plan(project, tuple(actions))


def _of_container(
    container_id: str, place: Place, found: list[Drift], bridges: Mapping[str, str], failed: bool
) -> Iterable[Action]:
    who: dict[str, Any] = {**as_mapping(place), "container_id": container_id}
    name = place.name
    after = tuple(dict.fromkeys(bridges[item.network] for item in found if item.network in bridges))
    kinds = {drift.kind for drift in found}
    failed = failed and bool(kinds & {Kind.LINK, Kind.MOUNT})  # a wrong limit is no reason to end anything
    if failed or Kind.LOST_MOUNT in kinds:
        reason = _reason(found) + (", and a repair has failed" if failed else "")
        yield RenewContainer(f"restart {name}", reason, after, **who)
        return
    by_kind = {kind: [drift for drift in found if drift.kind is kind] for kind in Kind}
    if mine := by_kind[Kind.LINK]:
        yield Reconnect(f"reconnect {name}", _reason(mine), after, **who)
    if mine := by_kind[Kind.MOUNT]:
        paths = tuple(dict.fromkeys(drift.part for drift in mine))
        yield Remount(f"mount {name}", _reason(mine), **who, paths=paths)
    if mine := by_kind[Kind.LIMIT]:
        yield Relimit(f"limit {name}", _reason(mine), **who)


def _reason(found: Iterable[Drift]) -> str:
    return "; ".join(dict.fromkeys(drift.text for drift in found))


class Patience:
    """How long each thing waits for its next repair; times are seconds of any steady clock."""

    def __init__(self) -> None:
        self._repairs: dict[str, tuple[int, float]] = {}  # key -> how many, time of the last one

    def left(self, key: str, now: float) -> float:
        """Seconds until ``key`` may be repaired; 0: at once."""
        count, last = self._repairs.get(key, (0, now))
        return max(0.0, last + _pause(count) - now)

    def repaired(self, key: str, now: float) -> None:
        """Notes an attempt."""
        count, last = self._repairs.get(key, (0, now))
        self._repairs[key] = (1 if now - last >= _pause(count) + QUIET else count + 1, now)

    def forget(self, start: str) -> None:
        """All that begins with ``start``, the id of a container."""
        self._repairs = {key: item for key, item in self._repairs.items() if not key.startswith(start)}


def _pause(count: int) -> float:
    return min(FIRST_PAUSE * 2.0 ** (count - AT_ONCE), LONGEST_PAUSE) if count >= AT_ONCE else 0.0
