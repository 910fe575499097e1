"""``wait``: until containers have ended."""

from __future__ import annotations

import asyncio

from stackup.engine.container import Container
from stackup.engine.operations import Asked
from stackup.engine.session import Session
from stackup.engine.world import World
from stackup.model.observed import LIVE


async def wait_for_ends(world: World, asked: Asked, session: Session) -> int:
    """Answers name and exit code of the containers that have ended, the last one last. With ``first``, one is enough.
    Containers that come to be meanwhile are not waited for."""
    names = set(asked.args.get("services") or ())
    chosen = [item for item in world.replicas() if item.service in names]
    enough = any if asked.args.get("first") else all

    def over() -> bool:
        return enough(item.phase not in LIVE for item in chosen)

    loop = asyncio.get_running_loop()
    waits = [
        loop.create_task(item)
        for item in (world.any_change.until(over), session.cancelled.wait(), session.closed.wait())
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for item in waits:
            item.cancel()
    ended = sorted((item for item in chosen if item.phase not in LIVE), key=_when)
    data = [{"name": item.name, "service": item.service, "code": item.state.exit_code} for item in ended]
    session.emit({"event": "result", "data": data})
    return 0


def _when(container: Container) -> int:
    return container.state.finished_ns
