"""The responder over sockets on loopback: what a container that asks gets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from stackup.network import dnswire
from stackup.network.directory import Directory, Endpoint, View
from stackup.network.dns import DnsServer
from stackup.network.dnswire import AAAA, PTR, A
from stackup.network.upstream import Upstream

WEB = Endpoint("web1", "net", ("shop-web-1", "web", "www"), ("172.17.0.2", "fd00::2"))
WEB2 = Endpoint("web2", "net", ("shop-web-2", "web"), ("172.17.0.3",))
DB = Endpoint("db1", "hidden", ("shop-db-1", "db"), ("172.18.0.2",))


def directory() -> Directory:
    made = Directory()
    made.add_network("net", "shop_default", ("172.17.0.0/16", "fd00::/64"))
    made.add_network("hidden", "shop_back", ("172.18.0.0/16",))
    for endpoint in (WEB, WEB2, DB):
        made.register(endpoint)
    return made


def test_names_by_view() -> None:
    names, view, both = directory(), View(("net",)), View(("hidden", "net"))
    assert names.lookup(view, "shop-web-1") == ("172.17.0.2", "fd00::2")
    assert names.lookup(view, "shop-web-1.shop_default") == ("172.17.0.2", "fd00::2")
    assert names.lookup(view, "www") == ("172.17.0.2", "fd00::2")
    assert names.lookup(view, "db") is None
    assert names.lookup(both, "db") == ("172.18.0.2",)
    assert names.name_of(view, ip_address("172.17.0.3")) == "shop-web-2.shop_default"
    assert names.name_of(view, ip_address("172.18.0.2")) is None
    assert names.is_ours(view, "gone.shop_default")
    assert names.lookup(View(("net",), links={"backend": "web"}), "backend") is not None


def test_replicas_take_turns() -> None:
    names, view = directory(), View(("net",))
    first = [names.lookup(view, "web") for _ in range(4)]
    assert first[0] == ("172.17.0.2", "fd00::2", "172.17.0.3")
    assert first[1] == ("172.17.0.3", "172.17.0.2", "fd00::2")
    assert first[2:] == first[:2]


def test_a_container_that_is_gone_is_not_found() -> None:
    names, view = directory(), View(("net",))
    names.unregister("web1")
    assert names.lookup(view, "web") == ("172.17.0.3",)
    assert names.lookup(view, "www") is None
    assert names.name_of(view, ip_address("172.17.0.2")) is None
    names.drop_network("net")
    assert names.lookup(view, "web") is None


def test_other_stacks_are_asked_last() -> None:
    names = Directory(lambda bridge, name: ("172.17.0.99",) if (bridge, name) == ("skb1", "proxy") else None)
    names.add_network("net", "shop_default", bridge="skb1")
    names.register(WEB)
    view = View(("net",))
    assert names.lookup(view, "proxy") == names.lookup(view, "proxy.shop_default") == ("172.17.0.99",)
    assert names.lookup(view, "www") == WEB.addresses
    assert names.lookup(view, "nobody") is None


class Asker:
    """A container, seen from inside: sockets where the responder listens."""

    def __init__(self, udp: tuple[str, int], tcp: tuple[str, int]) -> None:
        self.udp_address, self.tcp_address = udp, tcp

    async def ask(self, name: str, kind: int = A) -> bytes:
        return await self.send(dnswire.query(77, name, kind))

    async def send(self, message: bytes, timeout: float = 5) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(self.udp_address)
            sock.send(message)
            return await asyncio.wait_for(loop.sock_recv(sock, 65535), timeout)

    async def ask_stream(self, *messages: bytes) -> list[bytes]:
        reader, writer = await asyncio.open_connection(*self.tcp_address)
        found = []
        for message in messages:
            writer.write(struct.pack("!H", len(message)) + message)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            found.append(await reader.readexactly(length))
        writer.close()
        return found


@asynccontextmanager
async def served(view: View, upstream: Upstream | None = None) -> AsyncIterator[Asker]:
    server = DnsServer(asyncio.get_running_loop(), upstream)
    server.directory = directory()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    tcp = socket.create_server(("127.0.0.1", 0))
    asker = Asker(udp.getsockname(), tcp.getsockname())
    server.serve("asker", udp.detach(), tcp.detach(), view)
    try:
        yield asker
    finally:
        server.close()


def addresses(answer: bytes) -> list[str]:
    """All A and AAAA records of an answer of ours."""
    _, _, _, count, _, _ = dnswire.HEADER.unpack_from(answer)
    offset = answer.index(b"\0", dnswire.HEADER.size) + 5
    found = []
    for _ in range(count):
        (length,) = struct.unpack_from("!H", answer, offset + 10)
        found.append(str(ip_address(answer[offset + 12 : offset + 12 + length])))
        offset += 12 + length
    return found


def within(view: View, check: Callable[[Asker], Awaitable[None]], upstream: Upstream | None = None) -> None:
    async def run() -> None:
        async with served(view, upstream) as asker:
            await check(asker)

    asyncio.run(run())


def test_local_names() -> None:
    async def check(asker: Asker) -> None:
        assert addresses(await asker.ask("shop-web-1")) == ["172.17.0.2"]
        assert addresses(await asker.ask("SHOP-web-1", AAAA)) == ["fd00::2"]
        assert sorted(addresses(await asker.ask("web"))) == ["172.17.0.2", "172.17.0.3"]
        assert b"shop-web-1" in await asker.ask("2.0.17.172.in-addr.arpa", PTR)

    within(View(("net",)), check)


def test_no_such_record_is_not_no_such_name() -> None:
    async def check(asker: Asker) -> None:
        nothing = await asker.ask("shop-web-2", AAAA)
        assert (dnswire.rcode_of(nothing), addresses(nothing)) == (dnswire.NOERROR, [])
        assert dnswire.rcode_of(await asker.ask("web", 15)) == dnswire.NOERROR
        for name in ("nobody", "nobody.shop_default", "99.0.17.172.in-addr.arpa"):
            assert dnswire.rcode_of(await asker.ask(name)) == dnswire.NXDOMAIN

    within(View(("net",), upstreams=("127.0.0.1#1",)), check)


def test_an_internal_network_answers_at_once() -> None:
    async def check(asker: Asker) -> None:
        assert dnswire.rcode_of(await asker.send(dnswire.query(1, "example.org", A), 0.5)) == dnswire.SERVFAIL

    within(View(("net",)), check)


def test_over_tcp_several_questions_on_one_connection() -> None:
    async def check(asker: Asker) -> None:
        first, second = await asker.ask_stream(dnswire.query(1, "db", A), dnswire.query(2, "shop-web-2", A))
        assert dnswire.rcode_of(first) == dnswire.NXDOMAIN
        assert addresses(second) == ["172.17.0.3"]

    within(View(("net",)), check)


def test_garbage_gets_an_error_or_nothing() -> None:
    async def check(asker: Asker) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for junk in (b"", b"\0", bytes(11), b"\xff" * 40, bytes(4000)):
                sock.sendto(junk, asker.udp_address)
        assert dnswire.rcode_of(await asker.send(bytes(12))) == dnswire.FORMERR
        assert addresses(await asker.ask("shop-web-2")) == ["172.17.0.3"]

    within(View(("net",)), check)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_stream_of_bytes_leaves_the_responder_alive(chunks: list[bytes]) -> None:
    async def check(asker: Asker) -> None:
        _, writer = await asyncio.open_connection(*asker.tcp_address)
        for chunk in chunks:
            writer.write(chunk)
        writer.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for chunk in chunks:
                sock.sendto(chunk, asker.udp_address)
        assert addresses(await asker.ask("shop-web-2")) == ["172.17.0.3"]

    within(View(("net",)), check)


def same_port() -> tuple[socket.socket, socket.socket]:
    for _ in range(50):
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
            continue
        return udp, tcp
    raise AssertionError("no port is free in both protocols")


class FakeServer:
    """A name server outside. ``plan`` says what it does with each question in turn; the last entry is kept."""

    def __init__(self, *plan: str) -> None:
        self.plan = list(plan)
        self.asked = 0
        self.udp, self.tcp = same_port()
        self.name = f"127.0.0.1#{self.udp.getsockname()[1]}"

    async def __aenter__(self) -> FakeServer:
        asyncio.get_running_loop().add_reader(self.udp, self._datagram)
        self.stream = await asyncio.start_server(self._connection, sock=self.tcp)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.udp)
        self.udp.close()
        self.stream.close()

    def _next(self) -> str:
        self.asked += 1
        return self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]

    def _answer(self, data: bytes, act: str) -> bytes:
        question = dnswire.parse(data)
        if act.isalpha():
            return dnswire.answer(question, getattr(dnswire, act))
        return dnswire.answer(question, dnswire.NOERROR, [dnswire.address_record(act, 60)])

    def _datagram(self) -> None:
        data, client = self.udp.recvfrom(4096)
        act = self._next()
        if act == "silent":
            return
        if act == "forged":
            wrong = bytes((data[0] ^ 1,)) + data[1:]
            self.udp.sendto(self._answer(wrong, "6.6.6.6"), client)
            act = "1.2.3.4"
        if act == "truncated":
            records = [dnswire.address_record("1.2.3.4", 60)] * 99
            self.udp.sendto(dnswire.answer(dnswire.parse(data), dnswire.NOERROR, records, limit=512), client)
            return
        self.udp.sendto(self._answer(data, act), client)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        answer = self._answer(await reader.readexactly(length), "5.6.7.8")
        writer.write(struct.pack("!H", len(answer)) + answer)
        writer.close()


def outside(*plans: tuple[str, ...]) -> Callable[[Callable[[Asker, list[FakeServer]], Awaitable[None]]], None]:
    """Runs a check with one fake server for each plan."""

    def run(check: Callable[[Asker, list[FakeServer]], Awaitable[None]]) -> None:
        async def body() -> None:
            servers = [FakeServer(*plan) for plan in plans]
            for server in servers:
                await server.__aenter__()
            view = View(("net",), upstreams=tuple(server.name for server in servers))
            async with served(view, Upstream(try_seconds=0.1)) as asker:
                await check(asker, servers)
            for server in servers:
                await server.__aexit__()

        asyncio.run(body())

    return run


def test_other_names_are_asked_outside_with_the_clients_id() -> None:
    @outside(("9.9.9.9",))
    async def check(asker: Asker, servers: list[FakeServer]) -> None:
        answer = await asker.ask("example.org")
        assert answer[:2] == struct.pack("!H", 77)
        assert addresses(answer) == ["9.9.9.9"]
        await asker.ask("single")
        assert servers[0].asked == 1


def test_a_silent_or_failing_server_is_passed_over_and_asked_last_from_then_on() -> None:
    @outside(("silent",), ("SERVFAIL", "REFUSED"), ("1.1.1.1",))
    async def check(asker: Asker, servers: list[FakeServer]) -> None:
        assert addresses(await asker.ask("example.org")) == ["1.1.1.1"]
        assert addresses(await asker.ask("example.org")) == ["1.1.1.1"]
        assert [server.asked for server in servers] == [1, 2, 2]


def test_no_such_domain_is_an_answer() -> None:
    @outside(("NXDOMAIN",), ("1.1.1.1",))
    async def check(asker: Asker, servers: list[FakeServer]) -> None:
        assert dnswire.rcode_of(await asker.ask("nowhere.example")) == dnswire.NXDOMAIN
        assert servers[1].asked == 0


def test_when_nobody_answers() -> None:
    @outside(("silent",))
    async def check(asker: Asker, servers: list[FakeServer]) -> None:
        assert dnswire.rcode_of(await asker.ask("example.org")) == dnswire.SERVFAIL
        assert servers[0].asked == 2


def test_a_forged_answer_is_dropped() -> None:
    @outside(("forged",))
    async def check(asker: Asker, servers: list[FakeServer]) -> None:
        assert addresses(await asker.ask("example.org")) == ["1.2.3.4"]


def test_truncated_answers_are_had_whole_over_tcp() -> None:
    @outside(("truncated",))
    async def check(asker: Asker, servers: list[FakeServer]) -> None:
        assert dnswire.is_truncated(await asker.ask("example.org"))
        (whole,) = await asker.ask_stream(dnswire.query(1, "example.org", A))
        assert addresses(whole) == ["5.6.7.8"]
