"""The last lines that containers wrote: what errors and notices quote."""

from __future__ import annotations

from collections.abc import Iterable

from stackup.engine.container import Container
from stackup.engine.logreader import LogLine, read_merged
from stackup.engine.world import World


def last_lines(world: World, containers: Iterable[Container], count: int) -> list[LogLine]:
    """At most ``count`` of all of them together, in the order of their times. Reads files: call it in a thread."""
    sources = [(item.short_name, world.log_directory(item.id)) for item in containers]
    return list(read_merged(sources, tail=count))[-count:]
