"""One service: which of its containers stay, start, are replaced, go, or are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from stackup.base.values import frozen
from stackup.model.observed import ObservedContainer, Phase


class Fate(StrEnum):
    KEEP = "keep"
    START = "start"
    RESTART = "restart"
    REPLACE = "replace"
    CREATE = "create"
    REMOVE = "remove"


STARTING = frozenset({Fate.START, Fate.RESTART, Fate.REPLACE, Fate.CREATE})
ENDING = frozenset({Fate.RESTART, Fate.REPLACE, Fate.REMOVE})


@frozen
class Replica:
    """``container`` is None for CREATE. ``number`` and ``name`` are those that it has afterwards. ``idle``: replaced,
    but not started. ``update``: why it is changed in place, "" when it is not; ``unproven``: with
    another health check, of which nobody knows the result. ``changes`` of its configuration, in full."""

    fate: Fate
    service: str
    number: int
    name: str
    container: ObservedContainer | None = None
    reason: str = ""
    idle: bool = False
    update: str = ""
    unproven: bool = False
    changes: tuple[str, ...] = ()

    @property
    def begins(self) -> bool:
        return self.fate in STARTING and not self.idle


def replicas(
    service: str,
    wanted: int,
    containers: Iterable[ObservedContainer],
    *,
    obsolete: Callable[[ObservedContainer], str],
    one_shot: bool,
    name_of: Callable[[int], str],
) -> list[Replica]:
    """``obsolete`` answers why a container must be replaced, "" when it need not be. ``one_shot``: it is done
    once it has ended with success, so a completed one is not run again. In the order of their numbers.

    When there are too many, those that would have to be replaced go first, then the highest numbers.
    """
    found: list[Replica] = []
    usable: dict[int, list[tuple[ObservedContainer, str]]] = {}
    for container in sorted(containers, key=lambda item: (item.number, item.id)):
        if container.phase is Phase.REMOVING:
            found.append(_removal(container, "its removal was begun before"))
        else:
            usable.setdefault(container.number, []).append((container, obsolete(container)))
    best = []
    for same_number in usable.values():
        chosen, *others = sorted(same_number, key=_preference)
        best.append(chosen)
        found += [_removal(container, "left over from an unfinished replacement") for container, _ in others]
    best.sort(key=lambda item: (bool(item[1]), item[0].number))
    found += [_removal(container, f"scaled down to {wanted}") for container, _ in best[wanted:]]
    for container, reason in best[:wanted]:
        found.append(_replacement(container, reason, name_of) if reason else _survivor(container, one_shot))
    first = max(usable, default=0) + 1
    for number in range(first, first + wanted - len(best)):
        reason = f"scaled up to {wanted}" if best else "no container yet"
        found.append(Replica(Fate.CREATE, service, number, name_of(number), None, reason))
    return sorted(found, key=lambda item: (item.number, item.fate is not Fate.REMOVE))


def start_reason(container: ObservedContainer) -> str:
    """Why a container that is not running is started, in words."""
    if container.phase is Phase.CREATED:
        return "created but never started"
    if container.phase is Phase.PAUSED:
        return "it is paused"
    if container.phase is Phase.STOPPING:
        return "it was being stopped"
    if container.exit_unknown or (container.exit_code is None and not container.stopped_by_user):
        return "it ended while nobody watched"
    if container.stopped_by_user:
        return "it was stopped"
    return f"it exited with code {container.exit_code}"


def _preference(item: tuple[ObservedContainer, str]) -> tuple[bool, bool, str]:
    container, reason = item
    return bool(reason), not container.live, container.id


def _removal(container: ObservedContainer, reason: str) -> Replica:
    return Replica(Fate.REMOVE, container.service, container.number, container.name, container, reason)


def _replacement(container: ObservedContainer, reason: str, name_of: Callable[[int], str]) -> Replica:
    number = container.number
    return Replica(Fate.REPLACE, container.service, number, name_of(number), container, reason)


def _survivor(container: ObservedContainer, one_shot: bool) -> Replica:
    running = container.phase in (Phase.STARTING, Phase.RUNNING, Phase.RESTARTING)
    if (running or container.phase is Phase.PAUSED) and container.stale_namespaces:
        fate, reason = Fate.RESTART, "the container whose namespaces it shares has started again"
    elif running or (one_shot and container.completed):
        fate, reason = Fate.KEEP, ""
    else:
        fate, reason = Fate.START, start_reason(container)
    return Replica(fate, container.service, container.number, container.name, container, reason)
