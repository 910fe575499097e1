"""The server side of the control socket: accepts, reads one request, writes events until ``done``."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import traceback
from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from stackup.base import log
from stackup.base.errors import Bug, StackupError
from stackup.control.protocol import MAX_FDS, MAX_REQUEST, Request, encode

Handler = Callable[[Request, "Connection"], Awaitable[int]]
ACCEPT_PAUSE = 0.1  # seconds
_MESSAGES = 1000  # queued messages of one client


class Connection:
    """One request of one user; satisfies ``engine.session.Session``."""

    def __init__(self, sock: socket.socket) -> None:
        self.fds: list[int] = []
        self.peer = 0  # the client's pid
        self.cancel_mode = ""
        self.cancelled = asyncio.Event()
        self.killed = asyncio.Event()
        self.closed = asyncio.Event()
        self.taps: list[Callable[[dict[str, Any]], None]] = []
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_MESSAGES)
        self._socket = sock
        self._raw: socket.socket | None = None
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def receive(self) -> Request:
        """The request line and the descriptors beside it. Raises ValueError, EOFError, PermissionError."""
        self._check_peer()
        loop = asyncio.get_running_loop()
        buffer = bytearray()
        while b"\n" not in buffer:
            await _readable(loop, self._socket)
            try:
                data, ancillary, _, _ = self._socket.recvmsg(1 << 16, socket.CMSG_SPACE(MAX_FDS * 4))
            except BlockingIOError:
                continue
            self._take_fds(ancillary)
            if not data:
                raise EOFError("no request")
            buffer += data
            if len(buffer) > MAX_REQUEST:
                raise ValueError("request too large")
        line, _, rest = bytes(buffer).partition(b"\n")
        request = Request.decode(line)
        self._raw = self._socket.dup()
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)
        self._writer.transport.set_write_buffer_limits(1 << 20)
        if rest:  # messages that came in the same breath, e.g. a cancel
            self._reader.feed_data(rest)
        return request

    def _check_peer(self) -> None:
        self.peer, uid, _ = struct.unpack("iII", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in (0, os.geteuid()):
            raise PermissionError(f"uid {uid} may not use this socket")

    def _take_fds(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds = array("i")
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                self.fds.extend(fds)

    async def listen(self) -> None:
        """Reads the client's further messages until it goes away."""
        try:
            while line := await self._reader.readline():
                self._message(json.loads(line))
        except (ConnectionError, ValueError, TypeError):
            pass  # gone, or no client of ours
        finally:
            self.closed.set()

    def _message(self, message: dict[str, Any]) -> None:
        if "cancel" not in message:
            if not self.messages.full():
                self.messages.put_nowait(message)
            return
        self.cancel_mode = "kill" if message["cancel"] == "kill" or self.cancel_mode else "graceful"
        self.cancelled.set()
        if self.cancel_mode == "kill":
            self.killed.set()

    def emit(self, event: dict[str, Any]) -> None:
        for tap in self.taps:
            tap(event)
        if not self.closed.is_set():
            self._writer.write(encode(event))

    async def drain(self) -> None:
        try:
            await self._writer.drain()
        except ConnectionError:
            self.closed.set()

    async def emit_with_fds(self, event: dict[str, Any], fds: Sequence[int]) -> None:
        """The transport must be empty first, so that the descriptors stand beside their event."""
        transport = self._writer.transport
        transport.set_write_buffer_limits(0)
        await self.drain()
        transport.set_write_buffer_limits(1 << 20)
        if self._raw is None or self.closed.is_set():
            return
        line = encode({**event, "fds": len(fds)})
        self._raw.setblocking(False)
        sent = self._raw.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))])
        if sent < len(line):
            self._writer.write(line[sent:])

    async def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()
        if self._raw is None:
            self._socket.close()
            return
        self._raw.close()
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            pass


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock, wake)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


class Server:
    """Serves ``handle`` on the listening socket until told to stop. Each request is a task of its own."""

    def __init__(self, listener: socket.socket, handle: Handler) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._handle = handle
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        return not self._tasks

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # no descriptor left, or a client that went away: others may have more luck
                log.note(f"cannot accept a connection: {error}")
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            sock.setblocking(False)
            task = loop.create_task(self._serve(Connection(sock)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection) -> None:
        listening: asyncio.Task[None] | None = None
        try:
            request = await connection.receive()
            listening = asyncio.get_running_loop().create_task(connection.listen())
            connection.emit({"event": "done", "exit": await self._answer(request, connection)})
            await connection.drain()
        except (EOFError, ValueError, PermissionError, ConnectionError):
            pass  # not a client of ours, or gone before it asked: nobody is there to tell
        finally:
            if listening:
                listening.cancel()
            await connection.close()

    async def _answer(self, request: Request, connection: Connection) -> int:
        try:
            return await self._handle(request, connection)
        except StackupError as error:
            connection.emit({"event": "error", "error": error.to_dict()})
            return error.exit_code
        except Exception as error:  # noqa: BLE001 - the border: the user gets a Bug, the supervisor lives on
            text = "".join(traceback.format_exception(error)).rstrip()
            bug = Bug(f"cannot {request.verb}: {error!r}", hint="please report this", snippet=text)
            connection.emit({"event": "error", "error": bug.to_dict()})
            return bug.exit_code
