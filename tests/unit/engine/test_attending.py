"""Builds and pulls end with the command that asked for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from stackup.base.errors import ImageError
from stackup.engine.attending import UserGone, attended


class User:
    def __init__(self) -> None:
        self.closed = asyncio.Event()


def run(scene: Callable[[User], Coroutine[Any, Any, None]]) -> None:
    async def play() -> None:
        await asyncio.wait_for(scene(User()), 10)

    asyncio.run(play())


def test_the_answer_is_handed_on_and_so_is_an_error() -> None:
    async def answers() -> int:
        return 7

    async def fails() -> int:
        raise ImageError("no")

    async def scene(user: User) -> None:
        assert await attended(answers(), user, "build") == 7  # type: ignore[arg-type]
        with pytest.raises(ImageError, match="no"):
            await attended(fails(), user, "build")  # type: ignore[arg-type]

    run(scene)


@pytest.mark.parametrize("cut_short", ["by the user's death", "by Ctrl-C"])
def test_it_has_cleaned_up_when_the_user_hears_of_the_end(cut_short: str) -> None:
    async def scene(user: User) -> None:
        begun, told = asyncio.Event(), []

        async def hangs() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                told.append("taken away")

        task = asyncio.create_task(attended(hangs(), user, "build"))  # type: ignore[arg-type]
        await begun.wait()
        if cut_short == "by Ctrl-C":
            task.cancel()
        else:
            user.closed.set()
        with pytest.raises(asyncio.CancelledError if cut_short == "by Ctrl-C" else UserGone):
            await task
        assert told == ["taken away"]

    run(scene)
