"""The last that containers and their probes said: what errors and notices quote."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from stackup.engine.container import Container
from stackup.engine.logmerge import read_merged
from stackup.engine.logreader import LogLine
from stackup.engine.world import World

QUOTED = 5  # lines of output


def last_lines(world: World, containers: Iterable[Container], count: int, *, since_ns: int = 0) -> list[LogLine]:
    """At most ``count`` of all of them together, in the order of their times. Reads files: call it in a thread."""
    sources = [(item.short_name, world.log_directory(item.id)) for item in containers]
    return list(read_merged(sources, tail=count, since_ns=since_ns))[-count:]


async def last_words(world: World, containers: Sequence[Container]) -> str:
    """For the report of those that failed. A probe that succeeded is no cause of anything, and nor is what was printed
    before the last start, unless that was one of a row of restarts."""
    began = {item.short_name: 0 if item.state.attempts else item.began_ns for item in containers}
    since_ns = min(began.values(), default=0)
    found = await asyncio.to_thread(last_lines, world, containers, QUOTED, since_ns=since_ns)
    lines = [line for line in found if line.time_ns >= began[line.name]]
    text = []
    for item in containers:
        said = item.state.health_output.strip() if item.state.health in ("starting", "unhealthy") else ""
        whose = "its" if len(containers) == 1 else f"{item.name}'s"
        text += [f"{whose} last probe said: {said}"] if said else []
    if lines:
        text.append("its last output:\n" + "\n".join(f"{line.name} | {line.text}" for line in lines))
    return "\n".join(text)
