"""Shows what containers print while they print it: lines of all of them in the order of their times.

A follower reads the log files, never the FIFOs: a slow reader of ``logs -f`` holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from stackup.base.values import frozen
from stackup.engine.container import Container
from stackup.engine.logreader import STREAMS, Keep, LogLine, StreamReader, last_merged
from stackup.engine.session import Session

LINES_BEFORE_DRAIN = 500


@frozen
class Ending:
    """A container's process ended; shown after its last words."""

    container_id: str
    name: str
    service: str
    code: int | None
    restarting: bool
    out_of_memory: bool

    def event(self) -> dict[str, Any]:
        return {
            "event": "exited",
            "name": self.name,
            "service": self.service,
            "code": self.code,
            "restarting": self.restarting,
            "oom": self.out_of_memory,
        }


def source_event(container: Container) -> dict[str, Any]:
    """A container whose lines are going to be shown: whoever prints them can make room for its name."""
    return {"event": "source", "name": container.short_name, "service": container.service}


def line_event(line: LogLine, service: str) -> dict[str, Any]:
    return {
        "event": "log",
        "name": line.name,
        "service": service,
        "stream": line.stream,
        "time_ns": line.time_ns,
        "line": line.text,
    }


class Follower:
    """One user's view of the output of some containers."""

    def __init__(
        self,
        session: Session,
        log_directory: Callable[[str], Path],
        *,
        wants: Callable[[Container], bool],
        until_ns: int = 0,
        endings: bool = True,
        keep: Keep | None = None,
    ) -> None:
        """``wants`` says which containers that start from now on are shown too; ``keep``, which lines are."""
        self._session = session
        self._log_directory = log_directory
        self.wants = wants
        self._until_ns = until_ns
        self._show_endings = endings
        self._keep = keep
        self._tails: dict[str, int] = {}  # containers of which only so many lines of the past are shown
        self._readers: dict[str, list[StreamReader]] = {}
        self._services: dict[str, str] = {}
        self._dirty: set[str] = set()
        self._endings: list[Ending] = []
        self._wake = asyncio.Event()
        self._stopped = False

    def add(self, container: Container, *, tail: int | None = None, since_ns: int = 0) -> None:
        """``tail``: how many of the lines that are already there are shown; None means all of them."""
        if container.id in self._readers:
            return
        directory = self._log_directory(container.id)
        readers = [StreamReader(directory, container.short_name, stream) for stream in STREAMS]
        if tail is not None:
            if self._keep is None or tail == 0:
                for reader in readers:
                    reader.skip_to_end(tail, unfinished=True)
            self._tails[container.id] = tail
        elif since_ns:
            for reader in readers:
                reader.skip_to(since_ns)
        self._readers[container.id] = readers
        self._services[container.short_name] = container.service
        self._session.emit(source_event(container))
        self.touched(container.id)

    def touched(self, container_id: str) -> None:
        """New output is in the log files of this container."""
        if container_id in self._readers:
            self._dirty.add(container_id)
            self._wake.set()

    def ended(self, container: Container, *, restarting: bool) -> None:
        if container.id in self._readers:
            self._dirty.add(container.id)
            state = container.state
            ending = Ending(
                container.id, container.short_name, container.service, state.exit_code, restarting, state.oom_killed
            )
            self._endings.append(ending)
            self._wake.set()

    async def wait(self) -> None:
        await self._wake.wait()

    def stop(self) -> None:
        """Lets ``show_all`` end, after what is there now."""
        self._stopped = True
        self._wake.set()

    async def show_all(self) -> None:
        """Shows what comes until ``stop``. Not to be cancelled: a line that was read would be lost."""
        while not self._stopped:
            await self.wait()
            await self.show()

    async def show(self, *, since_ns: int = 0) -> None:
        """Sends all that is new (and not older than ``since_ns``), then the endings that came with it. Line by line:
        what there is may be more than fits into memory."""
        self._wake.clear()
        dirty, self._dirty = self._dirty, set()
        endings, self._endings = self._endings, []
        final = {ending.container_id for ending in endings}
        lines = heapq.merge(*self._new_lines(dirty, final), key=lambda line: line.time_ns)
        await self.send(line for line in lines if line.time_ns >= since_ns)
        self._tell_missed(dirty)
        for ending in endings:
            if self._show_endings:
                self._session.emit(ending.event())
        await self._session.drain()

    async def send(self, lines: Iterable[LogLine]) -> None:
        for count, line in enumerate(lines, 1):
            self._session.emit(line_event(line, self._services[line.name]))
            if count % LINES_BEFORE_DRAIN == 0:
                await self._session.drain()
                await asyncio.sleep(0)  # a quick reader must not keep the loop from everybody else
                if self._session.closed.is_set():
                    return

    def _new_lines(self, dirty: set[str], final: set[str]) -> Iterator[Iterator[LogLine]]:
        for container_id in dirty:
            tail = self._tails.pop(container_id, None)
            if tail is not None:
                yield self._wanted(iter(last_merged(self._readers[container_id], tail, self._keep)))
            for reader in self._readers[container_id]:
                yield self._wanted(reader.read(final=container_id in final))

    def _wanted(self, lines: Iterator[LogLine]) -> Iterator[LogLine]:
        for line in lines:
            if self._until_ns and line.time_ns > self._until_ns:
                continue
            if self._keep is None or self._keep(line.text):
                yield line

    def _tell_missed(self, dirty: set[str]) -> None:
        """Rotation does not wait for readers, and neither does the service."""
        for container_id in dirty:
            for reader in self._readers[container_id]:
                if reader.missed:
                    text = f"{reader.name}: {reader.missed} bytes of {reader.stream} were rotated away before you came"
                    self._session.emit({"event": "notice", "text": text + " to them"})
                    reader.missed = 0
