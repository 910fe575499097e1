"""One change at a time: those who wait are told for whom, also when he has gone or somebody else is next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from stackup.engine.turns import Turn, Turns

FIRST, SECOND, THIRD = (f"`stackup {verb}` (process {pid})" for verb, pid in (("up -d", 1), ("down", 2), ("rm", 3)))


class User:
    def __init__(self) -> None:
        self.closed, self.cancelled = asyncio.Event(), asyncio.Event()
        self.told: list[str] = []

    def emit(self, event: dict[str, Any]) -> None:
        self.told.append(event["text"])


def run(scene: Callable[[Turns], Coroutine[Any, Any, None]]) -> None:
    async def play() -> None:
        await asyncio.wait_for(scene(Turns()), 10)

    asyncio.run(play())


async def asks(turns: Turns, who: str, user: User, *, patient: bool = False) -> asyncio.Task[Turn]:
    """As far as it gets by itself."""
    task = asyncio.create_task(turns.take(who, user, patient=patient))  # type: ignore[arg-type]
    for _ in range(5):
        await asyncio.sleep(0)
    return task


def test_the_holder_is_named_from_the_first_moment_on() -> None:
    async def scene(turns: Turns) -> None:
        one, two = User(), User()
        first = asyncio.create_task(turns.take(FIRST, one))  # type: ignore[arg-type]
        second = asyncio.create_task(turns.take(SECOND, two))  # type: ignore[arg-type]
        turn = await first
        assert (one.told, two.told) == ([], [f"waiting for {FIRST} to finish"])
        turns.leave(turn)
        assert (await second).came.is_set()

    run(scene)


def test_nobody_is_named_who_has_finished() -> None:
    async def scene(turns: Turns) -> None:
        one, two, three = User(), User(), User()
        turns.leave(await (await asks(turns, FIRST, one)))
        second = await asks(turns, SECOND, two)
        await asks(turns, THIRD, three)
        assert (two.told, three.told) == ([], [f"waiting for {SECOND} to finish"])
        turns.leave(await second)

    run(scene)


def test_who_waits_for_two_is_told_of_both() -> None:
    async def scene(turns: Turns) -> None:
        users = [User(), User(), User()]
        tasks = [await asks(turns, who, user) for who, user in zip((FIRST, SECOND, THIRD), users, strict=True)]
        turns.leave(await tasks[0])
        assert users[2].told == [f"waiting for {FIRST} to finish", f"waiting for {SECOND} to finish"]
        turns.leave(await tasks[1])
        assert (await tasks[2]).came.is_set()

    run(scene)


def test_a_holder_whose_terminal_has_gone() -> None:
    async def scene(turns: Turns) -> None:
        one, two = User(), User()
        await asks(turns, FIRST, one)
        one.closed.set()
        await asks(turns, SECOND, two)
        assert two.told == [f"waiting for {FIRST}, whose terminal has gone, to finish (it is carried on)"]

    run(scene)


def test_a_holder_who_builds_and_whose_terminal_has_gone() -> None:
    async def scene(turns: Turns) -> None:
        one, two = User(), User()
        await asks(turns, FIRST, one)
        one.closed.set()
        with turns.attended():
            await asks(turns, SECOND, two)
        assert two.told == [f"waiting for {FIRST}, whose terminal has gone, to finish (it is given up)"]

    run(scene)


def test_who_gives_up_leaves_the_row() -> None:
    async def scene(turns: Turns) -> None:
        one, two, three = User(), User(), User()
        first = await asks(turns, FIRST, one)
        second, third = await asks(turns, SECOND, two), await asks(turns, THIRD, three)
        two.cancelled.set()
        given_up = await second
        assert not given_up.came.is_set()
        assert given_up.waits_for == FIRST
        turns.leave(await first)
        assert (await third).came.is_set()

    run(scene)


def test_who_is_patient_waits_also_after_ctrl_c() -> None:
    async def scene(turns: Turns) -> None:
        one, two = User(), User()
        first = await asks(turns, FIRST, one)
        two.cancelled.set()
        second = await asks(turns, SECOND, two, patient=True)
        assert not second.done()
        turns.leave(await first)
        assert (await second).came.is_set()

    run(scene)


def test_who_is_cut_short_leaves_the_row() -> None:
    async def scene(turns: Turns) -> None:
        one, two, three = User(), User(), User()
        first = await asks(turns, FIRST, one)
        second, third = await asks(turns, SECOND, two), await asks(turns, THIRD, three)
        second.cancel()
        await asyncio.wait([second])
        turns.leave(await first)
        assert (await third).came.is_set()

    run(scene)
