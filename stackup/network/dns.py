"""The names inside a stack: one small responder for all containers, each served on sockets inside its own network.

The sockets (UDP and TCP of 127.0.0.11) were made in the container's network namespace and handed out; so the answer
depends on who asks. Names of the networks a container is in are answered here, everything else is asked upstream,
except single-label names, which no server outside could mean.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from stackup.network import dnswire
from stackup.network.directory import Directory, Endpoint, View
from stackup.network.dnswire import FormatError, Question
from stackup.network.neighbours import Neighbours
from stackup.network.upstream import Upstream

TTL = 5  # seconds; a recreated container may have another address
DRAIN = 64  # datagrams a container gets answered before the others have their turn
MAX_CONNECTIONS = 16  # TCP, per container
MAX_PENDING = 128  # questions upstream, per container
IDLE_SECONDS = 10.0

Reply = Callable[[bytes], None]


class DnsServer:
    """Belongs to the loop it was made for; every method is called from there. Never blocks it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        upstream: Upstream | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._loop = loop
        self._upstream = upstream or Upstream()
        self._served: dict[str, _Container] = {}
        self.directory = Directory(neighbours.lookup if neighbours else None)

    def add_network(self, network_id: str, name: str, subnets: tuple[str, ...] = (), bridge: str = "") -> None:
        """``bridge`` lets names of other stacks' containers in that network be found too."""
        self.directory.add_network(network_id, name, subnets, bridge)

    def drop_network(self, network_id: str) -> None:
        self.directory.drop_network(network_id)

    def register(self, endpoint: Endpoint) -> None:
        """From now on the endpoint's names lead to it."""
        self.directory.register(endpoint)

    def unregister(self, container_id: str) -> None:
        """Nobody finds the container any more; it may go on asking."""
        self.directory.unregister(container_id)

    def serve(self, container_id: str, udp_fd: int | None, tcp_fd: int | None, view: View) -> None:
        """Answers on these sockets from now on, and owns them: they keep the network namespace alive, and are closed
        by ``stop``. Serving a container again replaces its sockets."""
        self.stop(container_id)
        udp = socket.socket(fileno=udp_fd) if udp_fd is not None else None
        tcp = socket.socket(fileno=tcp_fd) if tcp_fd is not None else None
        container = _Container(self, self._loop, view, udp, tcp)
        self._served[container_id] = container
        container.start()

    def change_view(self, container_id: str, view: View) -> None:
        if container_id in self._served:
            self._served[container_id].view = view

    def stop(self, container_id: str) -> None:
        container = self._served.pop(container_id, None)
        if container is not None:
            container.close()

    def close(self) -> None:
        for container_id in list(self._served):
            self.stop(container_id)

    def answer_locally(self, question: Question, view: View, limit: int) -> bytes | None:
        """The answer when it is ours to give; None when it has to be asked upstream."""
        if question.cls not in (dnswire.IN, dnswire.CLASS_ANY):
            return dnswire.answer(question, dnswire.REFUSED)
        found = self.directory.lookup(view, question.name)
        if found is not None:
            wanted = {dnswire.A: (4,), dnswire.AAAA: (6,), dnswire.ANY: (4, 6)}.get(question.type, ())
            records = [
                dnswire.address_record(item, TTL) for item in found if (6 if ":" in item else 4) in wanted
            ]  # none of that type: NOERROR without records, never NXDOMAIN (RFC 2308)
            return dnswire.answer(question, dnswire.NOERROR, records, limit=limit)
        pointed = dnswire.pointed_address(question.name)
        if pointed is not None:
            name = self.directory.name_of(view, pointed)
            if name is not None:
                records = [dnswire.pointer_record(name, TTL)] if question.type in (dnswire.PTR, dnswire.ANY) else []
                return dnswire.answer(question, dnswire.NOERROR, records, limit=limit)
            if self.directory.covers(view, pointed):
                return dnswire.answer(question, dnswire.NXDOMAIN)
        elif self.directory.is_ours(view, question.name) or (question.name and "." not in question.name):
            return dnswire.answer(question, dnswire.NXDOMAIN)
        return None if view.upstreams else dnswire.answer(question, dnswire.SERVFAIL)

    async def ask_upstream(self, data: bytes, question: Question, view: View, *, tcp: bool) -> bytes:
        answer = await self._upstream.ask(data, question, view.upstreams, tcp=tcp)
        return answer if answer is not None else dnswire.answer(question, dnswire.SERVFAIL)


class _Container:
    """One container's sockets and what is under way for it."""

    def __init__(
        self,
        server: DnsServer,
        loop: asyncio.AbstractEventLoop,
        view: View,
        udp: socket.socket | None,
        tcp: socket.socket | None,
    ) -> None:
        self.view = view
        self._server = server
        self._loop = loop
        self._udp = udp
        self._tcp = tcp
        self._pending: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        if self._udp is not None:
            self._udp.setblocking(False)
            self._loop.add_reader(self._udp.fileno(), self._drain, self._udp)
        if self._tcp is not None:
            self._tcp.setblocking(False)
            self._loop.add_reader(self._tcp.fileno(), self._accept, self._tcp)

    def close(self) -> None:
        for sock in (self._udp, self._tcp):
            if sock is not None:
                self._loop.remove_reader(sock.fileno())
                sock.close()
        self._udp = self._tcp = None
        for task in (*self._pending, *self._connections):
            task.cancel()

    def _drain(self, udp: socket.socket) -> None:
        try:
            for _ in range(DRAIN):
                data, client = udp.recvfrom(4096)
                self._datagram(data, partial(self._send, udp, client))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # the namespace is going away
            self._loop.remove_reader(udp.fileno())

    def _send(self, udp: socket.socket, client: Any, data: bytes) -> None:
        try:
            if self._udp is udp:
                udp.sendto(data, client)
        except OSError:
            return  # the client is gone, or its buffer is full: it will ask again

    def _datagram(self, data: bytes, reply: Reply) -> None:
        try:
            question = dnswire.parse(data)
        except FormatError as error:
            if error.rcode is not None:
                reply(dnswire.failure(data, error.rcode))
            return
        answer = self._server.answer_locally(question, self.view, question.size)
        if answer is None and len(self._pending) >= MAX_PENDING:
            answer = dnswire.answer(question, dnswire.SERVFAIL)
        if answer is not None:
            reply(answer)
            return
        task = self._loop.create_task(self._forward(data, question, reply))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _forward(self, data: bytes, question: Question, reply: Reply) -> None:
        reply(await self._server.ask_upstream(data, question, self.view, tcp=False))

    def _accept(self, tcp: socket.socket) -> None:
        try:
            connection, _ = tcp.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return
        except OSError:
            self._loop.remove_reader(tcp.fileno())
            return
        if len(self._connections) >= MAX_CONNECTIONS:
            connection.close()
            return
        task = self._loop.create_task(self._converse(connection))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _converse(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    data = await reader.readexactly(length)
                answer = await self._answer_stream(data)
                if answer is None:
                    return
                writer.write(struct.pack("!H", len(answer)) + answer)
                async with asyncio.timeout(IDLE_SECONDS):
                    await writer.drain()
        except (OSError, EOFError, TimeoutError):
            return
        finally:
            writer.close()

    async def _answer_stream(self, data: bytes) -> bytes | None:
        try:
            question = dnswire.parse(data)
        except FormatError as error:
            return dnswire.failure(data, error.rcode) if error.rcode is not None else None
        answer = self._server.answer_locally(question, self.view, dnswire.MESSAGE_MAX)
        return answer or await self._server.ask_upstream(data, question, self.view, tcp=True)
