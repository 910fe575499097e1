"""Shows what containers print while they print it: lines of all of them in the order of their times.

A follower reads the log files, never the FIFOs: a slow reader of ``logs -f`` holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from stackup.base.clock import now_ns
from stackup.base.values import frozen
from stackup.engine.container import Container
from stackup.engine.logmerge import Keep, in_order, last, wanted
from stackup.engine.logreader import STREAMS, Chunk, StreamReader
from stackup.engine.session import Session

BEFORE_DRAIN = 1 << 18  # bytes
HURRY = "hurry"  # the message of a user who wants the end: what piles up is not for him
BACKLOG = 1 << 18  # bytes of a stream that somebody in a hurry is still shown
LAST_LINES = 100  # of what is more


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


def chunk_event(chunk: Chunk, service: str) -> dict[str, Any]:
    """``text``: one line, or several with newlines between them."""
    return {
        "event": "log",
        "name": chunk.name,
        "service": service,
        "stream": chunk.stream,
        "time_ns": chunk.time_ns,
        "text": chunk.data.decode("utf-8", "surrogateescape"),
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
        self._hurried = False
        self.since_ns = 0  # nothing older is shown

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
        listening = asyncio.get_running_loop().create_task(self._listen())
        try:
            while not self._stopped or self._wake.is_set():  # what came while the last of it was being shown, too
                await self.wait()
                await self.show()
        finally:
            listening.cancel()

    async def _listen(self) -> None:
        while HURRY not in await self._session.messages.get():
            continue
        self._hurried = True
        self._dirty.update(self._readers)
        self._wake.set()

    async def show(self, *, since_ns: int = 0) -> None:
        """Sends all that is new (and not older than ``since_ns``), then the endings that came with it. Piece by piece:
        what there is may be more than fits into memory."""
        self._wake.clear()
        began_ns = now_ns()
        dirty, self._dirty = self._dirty, set()
        endings, self._endings = self._endings, []
        final = {ending.container_id for ending in endings}
        if self._hurried:
            self._pass_over(dirty)
        await self._send(in_order(self._new_chunks(dirty, final, max(since_ns, self.since_ns))))
        self._tell_missed(dirty)
        for ending in endings:
            if self._show_endings:
                self._session.emit(ending.event())
        if dirty:  # for who has to go on with our successor: nothing printed before is missing
            self._session.emit({"event": "shown", "time_ns": began_ns})
        await self._session.drain()

    def _pass_over(self, dirty: set[str]) -> None:
        """A user who has pressed Ctrl-C sees the last words of what ends, not all that he has not seen yet."""
        for reader in (reader for container_id in dirty for reader in self._readers[container_id]):
            if reader.unread() > BACKLOG:
                before = reader.offset
                reader.skip_to_end(LAST_LINES, unfinished=True)
                passed = reader.offset - before
                self._session.emit({"event": "passed over", "name": reader.name, "bytes": passed})

    async def _send(self, chunks: Iterable[Chunk]) -> None:
        sent, hurried = 0, self._hurried
        for chunk in chunks:
            self._session.emit(chunk_event(chunk, self._services[chunk.name]))
            sent += len(chunk.data)
            if sent > BEFORE_DRAIN:
                sent = 0
                await self._session.drain()
                await asyncio.sleep(0)  # a quick reader must not keep the loop from everybody else
                if self._session.closed.is_set():
                    return
                if self._hurried and not hurried:
                    hurried = True
                    self._leave_long_ones()

    def _leave_long_ones(self) -> None:
        for reader in (reader for readers in self._readers.values() for reader in readers):
            if reader.unread() > BACKLOG:
                reader.leave()

    def _new_chunks(self, dirty: set[str], final: set[str], since_ns: int) -> Iterator[Iterator[Chunk]]:
        for container_id in dirty:
            tail = self._tails.pop(container_id, None)
            if tail is not None:
                past = in_order(self._wanted(reader.chunks(), since_ns) for reader in self._readers[container_id])
                yield iter(last(past, tail))
            for reader in self._readers[container_id]:
                yield self._wanted(reader.chunks(final=container_id in final), since_ns)

    def _wanted(self, chunks: Iterator[Chunk], since_ns: int) -> Iterator[Chunk]:
        return wanted(chunks, since_ns, self._until_ns, self._keep)

    def _tell_missed(self, dirty: set[str]) -> None:
        """Rotation does not wait for readers, and neither does the service."""
        for container_id in dirty:
            for reader in self._readers[container_id]:
                if reader.missed:
                    text = f"{reader.name}: {reader.missed} bytes of {reader.stream} were rotated away before you came"
                    self._session.emit({"event": "notice", "text": text + " to them"})
                    reader.missed = 0
