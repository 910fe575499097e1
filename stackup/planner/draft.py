"""A plan in the making: actions and the order between them, put into a line at the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stackup.base.errors import Bug
from stackup.model.plan import Action, Notice, Plan, Question


class Draft:
    """Collects actions. ``add`` twice with one id keeps the first; edges may be added until ``finish``."""

    def __init__(self) -> None:
        self._actions: dict[str, Action] = {}
        self._after: dict[str, dict[str, None]] = {}
        self.notices: list[Notice] = []
        self.questions: list[Question] = []

    def __contains__(self, action_id: str) -> bool:
        return action_id in self._actions

    @property
    def actions(self) -> Iterable[Action]:
        return self._actions.values()

    def add(self, action: Action) -> str:
        self._actions.setdefault(action.id, action)
        self._after.setdefault(action.id, dict.fromkeys(action.after))
        return action.id

    def after(self, action_id: str, others: Iterable[str]) -> None:
        """``action_id`` waits for ``others``."""
        edges = self._after[action_id]
        for other in others:
            if other != action_id:
                edges[other] = None

    def notice(self, text: str) -> None:
        self.notices.append(Notice(text))

    def finish(self, project: str) -> Plan:
        """Actions in the order of their adding, each preceded by what it waits for."""
        ordered: dict[str, int] = {}
        entered: set[str] = set()
        for root in self._actions:
            stack = [(root, False)]
            while stack:
                name, done = stack.pop()
                if name in ordered:
                    continue
                if done:
                    ordered[name] = len(ordered)
                elif name in entered:
                    raise Bug(f"cannot order the plan for {project}: {name!r} waits for itself")
                else:
                    entered.add(name)
                    stack.append((name, True))
                    stack.extend((other, False) for other in reversed(self._after[name]) if other not in ordered)
        minimal = self._reduced(ordered)
        actions = [
            action if action.after == minimal[name] else replace(action, after=minimal[name])
            for name, action in ((name, self._actions[name]) for name in ordered)
        ]
        return Plan(project, tuple(actions), tuple(self.notices), tuple(self.questions))

    def _reduced(self, ordered: dict[str, int]) -> dict[str, tuple[str, ...]]:
        """Each action's requirements without those that another one implies. A tolerant action implies nothing: it
        is carried out even when what it waits for has failed. Sets of positions are kept as bits of an integer."""
        implied: list[int] = []
        result = {}
        for name in ordered:
            needed = sorted({ordered[other] for other in self._after[name]})
            covered = 0
            for position in needed:
                covered |= implied[position]
            kept = [position for position in needed if not covered >> position & 1]
            bits = covered
            for position in kept:
                bits |= 1 << position
            implied.append(0 if self._actions[name].tolerant else bits)
            result[name] = tuple(kept)
        names = list(ordered)
        return {name: tuple(names[position] for position in kept) for name, kept in result.items()}
