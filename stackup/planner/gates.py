"""What a service has to wait for before it starts: the conditions of ``depends_on``, and what ``--wait`` adds."""

from __future__ import annotations

from dataclasses import dataclass, field

from stackup.model.plan import WaitFor
from stackup.planner.desired import Desired
from stackup.planner.draft import Draft
from stackup.planner.order import COMPLETED, HEALTHY, STARTED, Edge
from stackup.planner.words import needed_by
from stackup.planner.work import Work, ends

READY = "running_or_healthy"
_WORDS = {STARTED: "started", HEALTHY: "healthy", COMPLETED: "completed", READY: "ready"}


@dataclass(slots=True)
class _Gate:
    """A condition that somebody who starts depends on. ``required`` when one of them requires it."""

    required: bool = False
    users: list[str] = field(default_factory=list)


class Gates:
    """One WaitFor for each service, condition and strictness, however many wait for it."""

    def __init__(self, draft: Draft, desired: Desired, works: dict[str, Work]) -> None:
        self._draft = draft
        self._desired = desired
        self._works = works
        self._gates: dict[str, dict[tuple[str, bool], _Gate]] = {}
        for work in works.values():
            if work.begins:
                for edge in work.edges:
                    if self._needs_wait(edge):
                        gate = self._gates.setdefault(edge.service, {}).setdefault(
                            (edge.condition, edge.required), _Gate(edge.required)
                        )
                        gate.users.append(work.name)

    def add(self, work: Work) -> None:
        """Adds the waits for ``work``, whose starts are in the draft already."""
        gates = self._gates.get(work.name, {})
        for (condition, required), gate in gates.items():
            self._wait(work, condition, required, needed_by(gate.users), None)
        if self._desired.wait and not work.visiting and not work.empty and work.service is not None:
            condition = COMPLETED if self._awaited_completion(work.name) else READY
            covered = (condition, True) in gates or (HEALTHY, True) in gates
            if not covered and not work.satisfies(condition):
                self._wait(work, condition, True, "--wait", self._desired.wait_timeout)

    def before(self, work: Work) -> list[str]:
        """Ids of the actions that must come before ``work`` starts."""
        first: list[str] = []
        for edge in work.edges:
            if edge.service not in self._works:
                continue
            if self._needs_wait(edge):
                first.append(_id(edge.service, edge.condition, edge.required))
            elif edge.required:
                first += ends(self._works, edge.service, lambda item: item.starts, self._needed)
        return first

    def _needed(self, name: str) -> list[str]:
        return [edge.service for edge in self._works[name].edges if edge.required]

    def _needs_wait(self, edge: Edge) -> bool:
        """service_started is met by the order of actions alone, except where a failure must be forgiven."""
        work = self._works.get(edge.service)
        if work is None or work.empty:
            return False
        if edge.condition == STARTED:
            return work.begins and not edge.required
        return not work.satisfies(edge.condition)

    def _awaited_completion(self, name: str) -> bool:
        return any(
            edge.service == name and edge.condition == COMPLETED for work in self._works.values() for edge in work.edges
        )

    def _wait(self, work: Work, condition: str, required: bool, reason: str, timeout: float | None) -> None:
        action = WaitFor(
            _id(work.name, condition, required),
            reason,
            (*work.updates, *work.starts),
            service=work.name,
            condition=condition,
            required=required,
            timeout=timeout,
        )
        self._draft.add(action)


def _id(service: str, condition: str, required: bool) -> str:
    return f"wait {service} {_WORDS[condition]}" + ("" if required else " (optional)")
