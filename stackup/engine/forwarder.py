"""Sends a container's lines on to journald or syslog, from the files that they were moved into.

A receiver that is slow, full or away holds up nobody: its lines wait in the files, as long as these are kept, and are
sent when it is back. How far the sending has come is on disk, so that a killed supervisor's successor goes on there (a
few lines may come twice, none is left out).
"""

from __future__ import annotations

import asyncio
import os
import struct
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stackup.engine.logreader import STREAMS, LogLine, StreamReader
from stackup.engine.logrules import LogRule, fill_in
from stackup.engine.tasks import spawn

if TYPE_CHECKING:
    from stackup.engine.container import Container

BATCH = 200  # lines of a stream that are sent before it is noted
RETRY = 1.0  # seconds until a receiver that is not there is tried again
_PLACES = struct.Struct("<QQ")
PLACES = "forwarded"  # the file with the offset of each stream up to which all has been sent


class Sink(Protocol):
    """A receiver. ``send`` raises OSError when it is not there (any more)."""

    where: str

    async def send(self, line: LogLine) -> None: ...

    def close(self) -> None: ...


class Forwarder:
    """Runs as long as its container exists; ``trouble`` says why lines are not being sent, empty while they are."""

    def __init__(self, rule: LogRule, container: Container, directory: Path) -> None:
        self.trouble = ""
        self._sink = sink_of(rule, container)
        self._places = f"{directory}/{PLACES}"
        self._readers = [StreamReader(directory, container.short_name, stream) for stream in STREAMS]
        self._wake = asyncio.Event()
        self._wake.set()  # what a predecessor did not send
        self._begin()
        self._task = spawn(self._run())

    def touched(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._task.cancel()
        self._sink.close()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while lines := self._next():
                for line in lines:
                    await self._deliver(line)
                self._note()

    def _next(self) -> list[LogLine]:
        lines = [line for reader in self._readers for line in islice(reader.read(), BATCH)]
        return sorted(lines, key=lambda line: line.time_ns)

    async def _deliver(self, line: LogLine) -> None:
        while True:
            try:
                await self._sink.send(line)
            except OSError as error:
                self.trouble = f"output waits for {self._sink.where}: {_reason(error)}"
                await asyncio.sleep(RETRY)
            else:
                self.trouble = ""
                return

    def _begin(self) -> None:
        try:
            with open(self._places, "rb") as file:
                places = _PLACES.unpack(file.read(_PLACES.size))
        except (FileNotFoundError, struct.error):
            return
        for reader, offset in zip(self._readers, places, strict=True):
            reader.start_at(offset)

    def _note(self) -> None:
        data = _PLACES.pack(*(reader.offset for reader in self._readers))
        try:
            fd = os.open(self._places, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError:  # the disk is full, or the container is being removed: at worst lines come twice
            return
        try:
            os.pwrite(fd, data, 0)
        except OSError:
            pass
        finally:
            os.close(fd)


def _reason(error: OSError) -> str:
    """asyncio has words of its own for a refused connection; a name that is not found has no errno of the system."""
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or "no answer"


def sink_of(rule: LogRule, container: Container) -> Sink:
    """The connection is made when there is something to send."""
    from stackup.engine.sinks import Journal, Syslog

    definition = container.definition
    words = {
        ".ID": definition.id[:12],
        ".FullID": definition.id,
        ".Name": definition.name,
        ".FullName": f"/{definition.name}",
        ".ImageName": definition.image,
        ".ImageID": definition.image_id.removeprefix("sha256:")[:12],
        ".ImageFullID": definition.image_id,
        ".DaemonName": "stackup",
    }
    tag = fill_in(rule.options.get("tag") or "{{.ID}}", words)
    if rule.driver == "syslog":
        return Syslog(rule, tag)
    return Journal(tag, container, rule)
