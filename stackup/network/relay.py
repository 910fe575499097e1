"""User-space forwarding for the few clients that the kernel cannot translate: IPv6 ones of a container that has only
IPv4, and ``::1``. Everything else goes through the firewall's maps and never comes here.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Any

from stackup.network.types import PublishedPort

MAX_CONNECTIONS = 512  # per port; more wait in the listen queue
MAX_CLIENTS = 1024  # UDP clients remembered per port
UDP_IDLE_SECONDS = 90.0
CONNECT_SECONDS = 10.0
_CHUNK = 1 << 16
_DRAIN = 32  # datagrams in a row, before others have their turn

Key = tuple[str, str, int]


class Relay:
    """Belongs to the loop it was made for; every method is called from there."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._served: dict[Key, list[_Stream | _Datagrams]] = {}

    def serve(self, port: PublishedPort, sockets: tuple[socket.socket, ...]) -> None:
        """Forwards what arrives on ``sockets`` (``Reservation.relayed``) to the container; they stay the caller's.
        Serving a port again only changes where new clients go."""
        self.stop(port)
        target = (port.address or port.address6, port.container_port)
        kind = _Stream if port.protocol == "tcp" else _Datagrams
        self._served[_key(port)] = [kind(self._loop, sock, target) for sock in sockets]

    def stop(self, port: PublishedPort) -> None:
        for item in self._served.pop(_key(port), []):
            item.close()

    def close(self) -> None:
        for items in self._served.values():
            for item in items:
                item.close()
        self._served.clear()


def _key(port: PublishedPort) -> Key:
    return port.protocol, port.host_ip, port.host_port


class _Stream:
    """One listening TCP socket. Each direction ends by itself: a half-closed connection stays usable."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._sock = sock.dup()
        self._sock.setblocking(False)
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()
        self._listen()

    def close(self) -> None:
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for task in self._tasks:
            task.cancel()

    def _listen(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        try:
            client, _ = self._sock.accept()
        except OSError:
            return
        task = self._loop.create_task(self._carry(client))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        if len(self._tasks) >= MAX_CONNECTIONS:
            self._loop.remove_reader(self._sock)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._listen()

    async def _carry(self, client: socket.socket) -> None:
        client.setblocking(False)
        with client, socket.socket(_family(self._target), socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as server:
            server.setblocking(False)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._loop.sock_connect(server, self._target)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._copy(client, server))
                    both.create_task(self._copy(server, client))
            except* (OSError, TimeoutError):
                pass  # either side is gone: both are closed

    async def _copy(self, source: socket.socket, target: socket.socket) -> None:
        while data := await self._loop.sock_recv(source, _CHUNK):
            await self._loop.sock_sendall(target, data)
        target.shutdown(socket.SHUT_WR)


@dataclass(slots=True)
class _Client:
    sock: socket.socket
    seen: float = field(default=0.0)


class _Datagrams:
    """One UDP socket, and one towards the container for each client, so that answers find their way back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._sock = sock.dup()
        self._sock.setblocking(False)
        self._target = target
        self._clients: dict[Any, _Client] = {}
        self._sweeper = loop.call_later(UDP_IDLE_SECONDS, self._sweep)
        loop.add_reader(self._sock, self._from_outside)

    def close(self) -> None:
        self._sweeper.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for address in list(self._clients):
            self._drop(address)

    def _from_outside(self) -> None:
        try:
            for _ in range(_DRAIN):
                data, address = self._sock.recvfrom(_CHUNK)
                client = self._clients.get(address) or self._welcome(address)
                client.seen = self._loop.time()
                client.sock.send(data)
        except OSError:
            return  # nothing left to read, or a datagram lost: that is what the protocol allows

    def _welcome(self, address: Any) -> _Client:
        if len(self._clients) >= MAX_CLIENTS:
            self._drop(min(self._clients, key=lambda item: self._clients[item].seen))
        sock = socket.socket(_family(self._target), socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        sock.connect(self._target)
        client = self._clients[address] = _Client(sock)
        self._loop.add_reader(sock, self._from_container, client, address)
        return client

    def _from_container(self, client: _Client, address: Any) -> None:
        try:
            data = client.sock.recv(_CHUNK)
            client.seen = self._loop.time()
            self._sock.sendto(data, address)
        except BlockingIOError:
            return
        except OSError:
            self._drop(address)  # the container refuses: the next datagram tries anew

    def _drop(self, address: Any) -> None:
        client = self._clients.pop(address, None)
        if client is not None:
            self._loop.remove_reader(client.sock)
            client.sock.close()

    def _sweep(self) -> None:
        limit = self._loop.time() - UDP_IDLE_SECONDS
        for address in [address for address, client in self._clients.items() if client.seen < limit]:
            self._drop(address)
        self._sweeper = self._loop.call_later(UDP_IDLE_SECONDS, self._sweep)


def _family(target: tuple[str, int]) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in target[0] else socket.AF_INET
