"""Asking the host's name servers on behalf of containers: asynchronously, each question from a socket of its own.

A fresh port and a fresh id for each question make answers hard to forge. A server that did not answer goes to the end
of the queue for a while, so that one dead server does not delay every question.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Sequence
from typing import Any

from stackup.network import dnswire
from stackup.network.dnswire import Question

TRY_SECONDS = 2.0
ROUNDS = 2
SUSPECT_SECONDS = 30.0
MAX_OUTSTANDING = 512

_NEXT_SERVER = (dnswire.SERVFAIL, dnswire.NOTIMP, dnswire.REFUSED)


class Upstream:
    """Bounded: at most MAX_OUTSTANDING questions at a time, more are refused at once."""

    def __init__(self, *, try_seconds: float = TRY_SECONDS) -> None:
        self._try_seconds = try_seconds
        self._outstanding = 0
        self._suspects: dict[str, float] = {}  # server -> loop time until which it is asked last

    async def ask(self, message: bytes, question: Question, servers: Sequence[str], *, tcp: bool) -> bytes | None:
        """The answer, carrying the id of ``message``; None when no server gave one."""
        if self._outstanding >= MAX_OUTSTANDING:
            return None
        self._outstanding += 1
        try:
            return await self._ask(message, question, servers, tcp)
        finally:
            self._outstanding -= 1

    async def _ask(self, message: bytes, question: Question, servers: Sequence[str], tcp: bool) -> bytes | None:
        loop = asyncio.get_running_loop()
        worst: bytes | None = None
        for _ in range(ROUNDS):
            for server in sorted(servers, key=lambda item: self._suspects.get(item, 0) > loop.time()):
                number = secrets.randbits(16)
                asked = struct.pack("!H", number) + message[2:]
                exchange = _over_tcp if tcp else _over_udp
                try:
                    async with asyncio.timeout(self._try_seconds):
                        found = await exchange(server, asked, number, question)
                except (OSError, TimeoutError, EOFError):
                    self._suspects[server] = loop.time() + SUSPECT_SECONDS
                    continue
                self._suspects.pop(server, None)
                answer = message[:2] + found[2:]
                if dnswire.rcode_of(answer) not in _NEXT_SERVER:
                    return answer
                worst = answer
            if worst is not None:
                break  # every server was heard: asking again brings the same
        return worst


def endpoint(server: str) -> tuple[socket.AddressFamily, Any]:
    """``IP``, ``IP%zone`` or ``IP#PORT`` as a socket address."""
    host, _, port = server.partition("#")
    found = socket.getaddrinfo(host, int(port or 53), type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    family, _, _, _, address = found[0]
    return family, address


async def _over_udp(server: str, message: bytes, number: int, question: Question) -> bytes:
    loop = asyncio.get_running_loop()
    family, address = endpoint(server)
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
        sock.connect(address)
        sock.send(message)
        while True:
            answer = await loop.sock_recv(sock, dnswire.MESSAGE_MAX)
            if dnswire.answers_to(answer, number, question):
                return answer


async def _over_tcp(server: str, message: bytes, number: int, question: Question) -> bytes:
    _, address = endpoint(server)
    reader, writer = await asyncio.open_connection(str(address[0]), int(address[1]))
    try:
        writer.write(struct.pack("!H", len(message)) + message)
        await writer.drain()
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        answer = await reader.readexactly(length)
        if not dnswire.answers_to(answer, number, question):
            raise ConnectionError("not an answer to the question")
        return answer
    finally:
        writer.close()
