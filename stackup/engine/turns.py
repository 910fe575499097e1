"""One change of a project at a time: who has the turn, who waits for it, and what those who wait are told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from stackup.engine.session import Session


class Turn:
    """Of one command: it is in the row until ``Turns.leave``, and has the turn while it is the first there."""

    def __init__(self, who: str, session: Session) -> None:
        self.session = session
        self.came = asyncio.Event()
        self.waits_for = ""  # as its user was told last
        self.attended = False  # what it does just now ends with its user (``attending``)
        self._who = who or "another command"

    def __str__(self) -> str:
        """For others who wait. Who was killed has no process any more: what it asked for is carried on, or given up."""
        return f"{self._who}, whose terminal has gone," if self.session.closed.is_set() else self._who

    def told(self, holder: Turn) -> None:
        self.waits_for = f"{holder}"
        fate = " (it is given up)" if holder.attended else " (it is carried on)"
        text = f"waiting for {holder} to finish{fate if holder.session.closed.is_set() else ''}"
        self.session.emit({"event": "notice", "text": text})


class Turns:
    """The row itself is the lock: nobody can have the turn without being named."""

    def __init__(self) -> None:
        self._row: list[Turn] = []

    async def take(self, who: str, session: Session, *, patient: bool = False) -> Turn:
        """In the order of asking. ``came`` of the answer is not set when the user has gone, or given up, before; to
        those who are ``patient`` neither makes a difference. Where it is set, ``leave`` must follow."""
        turn = Turn(who, session)
        self._row.append(turn)
        if self._row[0] is turn:
            turn.came.set()
        else:
            turn.told(self._row[0])
        try:
            await _first_of(turn.came, *(() if patient else (session.closed, session.cancelled)))
        except BaseException:
            self.leave(turn)
            raise
        if not turn.came.is_set():
            self.leave(turn)
        return turn

    @contextmanager
    def attended(self) -> Iterator[None]:
        """What whoever has the turn does inside the block ends with its user."""
        turn = self._row[0]
        turn.attended = True
        try:
            yield
        finally:
            turn.attended = False

    def leave(self, turn: Turn) -> None:
        """The next one has the turn; those behind it are told for whom they wait now."""
        had_it = self._row[0] is turn
        self._row.remove(turn)
        if had_it and self._row:
            self._row[0].came.set()
            for other in self._row[1:]:
                other.told(self._row[0])


async def _first_of(*events: asyncio.Event) -> None:
    """Until one of them is set."""
    if any(event.is_set() for event in events):
        return
    tasks = [asyncio.get_running_loop().create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
