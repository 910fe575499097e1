"""What is done only for as long as its user is there: images are built and pulled for whoever waits for them.

A container that hangs can be seen and stopped; a step of a build whose command has gone is nobody's, and would hold up
every command after it. BuildKit, too, cancels a build whose client's connection ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from stackup.base.errors import StackupError
from stackup.engine.session import Session

T = TypeVar("T")


class UserGone(StackupError):
    """The command was killed, or its terminal closed."""

    kind = "user-gone"
    exit_code = 129  # 128 + SIGHUP


async def attended(work: Coroutine[Any, Any, T], session: Session, what: str) -> T:
    """What ``work`` answers. When the user goes before, it is cancelled, and has ended when this raises UserGone.
    ``what``: verbs, for the error."""
    task = asyncio.get_running_loop().create_task(work)
    going = asyncio.get_running_loop().create_task(session.closed.wait())
    try:
        await asyncio.wait([task, going], return_when=asyncio.FIRST_COMPLETED)
    finally:
        going.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    if task.cancelled():
        raise UserGone(f"cannot {what}: whoever asked for it has gone")
    return task.result()
