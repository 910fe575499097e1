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
CUT_SHORT = "its update was cut short"


@frozen
class Replica:
    """``container`` is None for CREATE. ``number`` and ``name`` are those that it has afterwards. ``successor``: what
    replaces ``container``, where a rolling update that was cut short has made it already. ``idle``: replaced, but not
    started. ``update``: why it is changed in place, "" when it is not; ``unproven``: with another health check, of
    which nobody knows the result. ``changes`` of its configuration, in full; ``shown``: those that the reason has no
    room for.
    """

    fate: Fate
    service: str
    number: int
    name: str
    container: ObservedContainer | None = None
    reason: str = ""
    successor: ObservedContainer | None = None
    idle: bool = False
    update: str = ""
    unproven: bool = False
    changes: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()

    @property
    def begins(self) -> bool:
        """A container of it starts."""
        return self.fate in STARTING and not self.idle and not (self.successor and _runs(self.successor))

    @property
    def lasting(self) -> ObservedContainer | None:
        """What is there already and stays."""
        if self.fate is Fate.REPLACE:
            return self.successor
        return None if self.fate is Fate.REMOVE else self.container

    @property
    def on_trial(self) -> bool:
        """A rolling update was cut short before it was found good."""
        return self.lasting is not None and bool(self.lasting.trial_for)


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

    Of two with one number the newer one has its place, when it is what it should be; the older one goes, in its turn if
    the newer one is on trial (``Replica.successor``). When there are too many, those that would have to be replaced go
    first, then the highest numbers.
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
        best.append((*chosen, _predecessor(chosen, others)))
        gone = [container for container, _ in others if container is not best[-1][2]]
        found += [_removal(container, "left over from an unfinished replacement") for container in gone]
    best.sort(key=lambda item: (bool(item[1] or item[2]), item[0].number))
    for container, _, before in best[wanted:]:
        found += [_removal(item, f"scaled down to {wanted}") for item in (container, before) if item]
    for container, reason, before in best[:wanted]:
        if before is not None:
            found.append(_succession(before, container))
        else:
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


def _preference(item: tuple[ObservedContainer, str]) -> tuple[bool, bool, bool, str]:
    container, reason = item
    return bool(reason), not container.live, bool(container.trial_for), container.id


def _predecessor(
    chosen: tuple[ObservedContainer, str], others: list[tuple[ObservedContainer, str]]
) -> ObservedContainer | None:
    """The container that ``chosen`` was made to replace, where that was watched and is not done."""
    container, reason = chosen
    return None if reason else next((item for item, _ in others if item.id == container.trial_for), None)


def _runs(container: ObservedContainer) -> bool:
    return container.phase in (Phase.STARTING, Phase.RUNNING, Phase.RESTARTING)


def _removal(container: ObservedContainer, reason: str) -> Replica:
    return Replica(Fate.REMOVE, container.service, container.number, container.name, container, reason)


def _replacement(container: ObservedContainer, reason: str, name_of: Callable[[int], str]) -> Replica:
    number = container.number
    return Replica(Fate.REPLACE, container.service, number, name_of(number), container, reason)


def _succession(old: ObservedContainer, new: ObservedContainer) -> Replica:
    return Replica(Fate.REPLACE, new.service, new.number, new.name, old, CUT_SHORT, new)


def _survivor(container: ObservedContainer, one_shot: bool) -> Replica:
    running = _runs(container)
    if (running or container.phase is Phase.PAUSED) and container.stale_namespaces:
        fate, reason = Fate.RESTART, "the container whose namespaces it shares has started again"
    elif container.phase is Phase.RUNNING and container.unprepared:
        fate, reason = Fate.RESTART, container.unprepared
    elif running or (one_shot and container.completed):
        fate, reason = Fate.KEEP, ""
    else:
        fate, reason = Fate.START, start_reason(container)
    return Replica(fate, container.service, container.number, container.name, container, reason)
