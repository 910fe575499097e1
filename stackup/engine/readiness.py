"""``x-stackup.ready``: looks from outside of the image whether a container is ready. No program in it is needed.

Network probes go out from inside the container's own network namespace, to its own addresses: nothing leaves it.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stackup.base.clock import now_ns
from stackup.base.version import VERSION
from stackup.engine.container import Container
from stackup.engine.logreader import STREAMS, LogLine, StreamReader
from stackup.engine.supervision import OutsideProbe
from stackup.engine.world import World
from stackup.linux.inside import exists_in, socket_in

LOOPBACK = ("127.0.0.1", "::1")
GOOD = range(200, 400)  # status, where the stack file names none
SHOWN = 512  # characters of an answer that is no HTTP
HEAD_LIMIT = 1 << 16
TICK_NS = 20_000_000  # a process' start is known to two clock ticks


class Readiness:
    """The probe of one incarnation; it remembers how far the output has been searched."""

    def __init__(self, world: World, container: Container, probe: OutsideProbe) -> None:
        self._world = world
        self._container = container
        self._probe = probe
        self._readers: list[StreamReader] = []
        self._found = 0
        self._since_ns = now_ns() - int(container.age * 1e9) - TICK_NS

    @property
    def lasting(self) -> bool:
        """Once it has succeeded, it need not be asked again: what was written stays written."""
        return self._probe.kind == "log"

    async def look(self, timeout: float) -> tuple[bool, str]:
        """Whether it is ready, and what was seen, for people."""
        try:
            async with asyncio.timeout(timeout):
                match self._probe.kind:
                    case "tcp":
                        return await self._tcp()
                    case "http":
                        return await self._http()
                    case "log":
                        return await asyncio.to_thread(self._log)
                    case _:
                        return self._file()
        except TimeoutError:
            return False, f"no answer within {timeout:g} s"
        except (OSError, EOFError, ValueError) as error:  # ValueError: an answer that is no HTTP
            return False, str(error) or type(error).__name__

    async def _tcp(self) -> tuple[bool, str]:
        async with self._connected() as (_, where):
            return True, f"{where} accepts connections"

    async def _http(self) -> tuple[bool, str]:
        probe = self._probe
        async with self._connected() as (sock, where):
            host = where if probe.port not in (80, 443) else where.rpartition(":")[0]
            tls = _unverified() if probe.scheme == "https" else None
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=tls, server_hostname="" if tls else None, limit=HEAD_LIMIT
            )
            try:
                writer.write(request_text(probe, host))
                await writer.drain()
                status, line = status_of(await reader.readline())
                ok = status in probe.status if probe.status else status in GOOD
                return ok, line if ok else f"{line.partition(' ')[2]}, wanted {wanted_text(probe)}"
            finally:
                writer.close()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[socket.socket, str]]:
        """To the first of its addresses that accepts; loopback counts, too. Raises the first refusal."""
        refusal: OSError | None = None
        own = self._world.desk.addresses(self._container)
        for address in (*own, *LOOPBACK):
            version6 = ":" in address
            where = f"[{address}]:{self._probe.port}" if version6 else f"{address}:{self._probe.port}"
            try:
                sock = socket_in(self._container.pidfd, socket.AF_INET6 if version6 else socket.AF_INET)
            except OSError as error:
                refusal = refusal or error
                continue
            try:
                await asyncio.get_running_loop().sock_connect(sock, (address, self._probe.port))
            except OSError as error:
                sock.close()
                refusal = refusal or OSError(f"{where}: {os.strerror(error.errno or 0)}")
                continue
            except BaseException:
                sock.close()
                raise
            try:
                yield sock, where
            finally:
                sock.close()
            return
        raise refusal or OSError("it has no address")

    def _log(self) -> tuple[bool, str]:
        """What has been written of a line that has not ended yet is looked at, too: a prompt never ends."""
        pattern = re.compile(self._probe.pattern)
        directory, name = self._world.log_directory(self._container.id), self._container.short_name
        if not self._readers:
            self._readers = [StreamReader(directory, name, stream) for stream in STREAMS]
        for reader in self._readers:
            for line in reader.read():
                if self._matches(pattern, line):
                    self._found += 1
                    if self._found >= self._probe.times:
                        return True, line.text
        found = self._found
        for reader in self._readers:
            ahead = StreamReader(directory, name, reader.stream)  # the reader itself waits for the line's end
            ahead.start_at(reader.offset)
            for line in ahead.read(final=True) if reader.unread() else ():
                found += self._matches(pattern, line)
                if found >= self._probe.times:
                    return True, line.text
        so_far = f" more than {found} times" if found else ""
        return False, f"no line of its output matches `{self._probe.pattern}`{so_far}"

    def _matches(self, pattern: re.Pattern[str], line: LogLine) -> bool:
        return line.time_ns >= self._since_ns and bool(pattern.search(line.text))

    def _file(self) -> tuple[bool, str]:
        path = self._probe.path
        if exists_in(self._container.state.pid, path):
            return True, f"{path} exists"
        return False, f"{path} does not exist"


def request_text(probe: OutsideProbe, host: str) -> bytes:
    """A header that the stack file names takes the place of ours."""
    headers = {"Host": host, "User-Agent": f"stackup/{VERSION}", "Accept": "*/*", "Connection": "close"}
    given = {name.lower() for name in probe.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in given} | probe.headers
    lines = [f"GET {probe.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def status_of(line: bytes) -> tuple[int, str]:
    """The number of ``HTTP/1.1 200 OK``, and the line as text. Raises ValueError for anything else."""
    text = line.decode("utf-8", "replace").strip()
    version, _, rest = text.partition(" ")
    number = rest[:3]
    if not version.startswith("HTTP/") or not (number.isascii() and number.isdigit()):
        raise ValueError(f"no HTTP answer: {text[:SHOWN]!r}" if text else "the connection was closed unanswered")
    return int(number), text


def wanted_text(probe: OutsideProbe) -> str:
    """``200 to 399``, or the numbers that the stack file names: ``200``, ``200 or 401``."""
    if not probe.status:
        return f"{GOOD.start} to {GOOD.stop - 1}"
    return " or ".join(map(str, probe.status))


def _unverified() -> ssl.SSLContext:
    """A service's own certificate is seldom one for its address; that it answers is what counts."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
