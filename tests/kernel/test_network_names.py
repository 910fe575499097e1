"""Names, as a container asks for them: 127.0.0.11 port 53 inside its own namespace, answered by this process."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackup.base.errors import PlanRefused
from stackup.base.paths import Layout
from stackup.linux.nfnetlink import redirect_dns
from stackup.model.resources import Network
from stackup.network import dnswire
from stackup.network.directory import Endpoint, View
from stackup.network.dns import DnsServer
from stackup.network.manager import NetworkManager
from stackup.network.ports import reserve
from stackup.network.relay import Relay
from stackup.network.types import PortBinding, PublishedPort
from stackup.network.watch import FirewallWatch
from tests.kernel.network_lab import Box, ask, get, sh

pytestmark = pytest.mark.root

RESOLVER = ("127.0.0.11", 53)


def dns_sockets() -> tuple[int, int]:
    """As the child of the launcher makes them."""
    tcp = socket.socket()
    tcp.bind(("127.0.0.11", 0))
    tcp.listen()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(tcp.getsockname())
    redirect_dns(tcp.getsockname()[1])
    return udp.detach(), tcp.detach()


def ask_udp(name: str) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        sock.connect(RESOLVER)
        sock.send(dnswire.query(5, name, dnswire.A))
        return sock.recv(512)


def ask_tcp(name: str) -> bytes:
    with socket.create_connection(RESOLVER, 3) as sock:
        message = dnswire.query(5, name, dnswire.A)
        sock.sendall(struct.pack("!H", len(message)) + message)
        return sock.recv(512)[2:]


@pytest.fixture
def box() -> Iterator[Box]:
    made = Box()
    yield made
    made.close()


@pytest.mark.parametrize("taken", ["nothing", "port 53 by a server of its own"])
def test_a_container_asks_port_53(box: Box, taken: str) -> None:
    if taken != "nothing":
        box.serve("mine", 53, "0.0.0.0").serve("mine", 53, "0.0.0.0", udp=True)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = DnsServer(loop)
        udp, tcp = await asyncio.to_thread(box.run, dns_sockets)
        server.add_network("net", "shop_default")
        server.register(Endpoint("web", "net", ("shop-web-1", "web"), ("172.17.0.2",)))
        server.serve("asker", udp, tcp, View(("net",)))
        for query in (ask_udp, ask_tcp):
            answer = await asyncio.to_thread(box.run, lambda query=query: query("web"))
            assert answer.endswith(socket.inet_aton("172.17.0.2"))
        server.close()

    asyncio.run(run())
    if taken != "nothing":
        assert box.ask("127.0.0.1", 53).startswith("mine")


def test_closing_lets_the_namespace_go() -> None:
    """The responder's sockets are the last to hold it."""
    box = Box()
    sh(f"ip link add skvtest type veth peer name eth0 netns /proc/{os.getpid()}/fd/{box.fd}")

    async def run() -> None:
        server = DnsServer(asyncio.get_running_loop())
        server.serve("asker", *await asyncio.to_thread(box.run, dns_sockets), View(()))
        box.close()
        await asyncio.sleep(0.1)
        assert Path("/sys/class/net/skvtest").exists() or "skvtest" in sh("ip link")
        server.stop("asker")
        for _ in range(100):
            await asyncio.sleep(0.02)
            if "skvtest" not in sh("ip link"):
                return
        raise AssertionError("the namespace is still there")

    asyncio.run(run())


@pytest.fixture
def manager(state_root: Path) -> Iterator[NetworkManager]:
    made = NetworkManager(Layout.at(state_root), "shop")
    yield made
    made.purge()


def test_ipv6_clients_of_a_container_without_ipv6(manager: NetworkManager, box: Box) -> None:
    place = manager.attach(manager.create("default", Network(name="shop_default")), "web", 1)
    box.attach(place).serve("web").serve("web", 53, udp=True)

    async def run() -> None:
        relay = Relay(asyncio.get_running_loop())
        for protocol, target, question in (("tcp", 80, get), ("udp", 53, ask)):
            held = reserve(PortBinding(target, protocol=protocol))
            port = PublishedPort(protocol, "", held.host_port, target, place.address)
            await asyncio.to_thread(manager.publish, [port])
            relay.serve(port, held.relayed)
            assert (await asyncio.to_thread(question, "::1", held.host_port)).startswith("web ")
            assert (await asyncio.to_thread(question, "127.0.0.1", held.host_port)).startswith("web ")
            relay.stop(port)
            held.close()
        relay.close()

    asyncio.run(run())


def test_whole_connections_are_relayed(manager: NetworkManager, box: Box) -> None:
    """Half-closed: the client says that it has sent all, and still gets the whole answer."""
    place = manager.attach(manager.create("default", Network(name="shop_default")), "web", 1)
    box.attach(place)
    server = box.run(lambda: socket.create_server(("0.0.0.0", 80)))

    def echo() -> None:
        client, _ = server.accept()
        with client:
            data = bytearray()
            while chunk := client.recv(1 << 16):
                data += chunk
            client.sendall(data)

    def talk(port: int) -> int:
        with socket.create_connection(("::1", port), 5) as sock:
            sock.sendall(b"x" * 3_000_000)
            sock.shutdown(socket.SHUT_WR)
            return sum(len(chunk) for chunk in iter(lambda: sock.recv(1 << 16), b""))

    async def run() -> None:
        relay = Relay(asyncio.get_running_loop())
        held = reserve(PortBinding(80))
        relay.serve(PublishedPort("tcp", "", held.host_port, 80, place.address), held.relayed)
        echoing = asyncio.create_task(asyncio.to_thread(echo))
        assert await asyncio.to_thread(talk, held.host_port) == 3_000_000
        await echoing
        relay.close()
        held.close()

    asyncio.run(run())
    server.close()


def test_the_holder_of_a_port_is_named(manager: NetworkManager) -> None:
    manager.create("default", Network(name="shop_default"))
    held = reserve(PortBinding(80, "8080"))
    manager.publish([PublishedPort("tcp", "", 8080, 80, "172.17.0.2", holder="shop-web-1")])
    with pytest.raises(PlanRefused, match="8080 is in use by container shop-web-1"):
        reserve(PortBinding(80, "8080"))
    held.close()
    code = "import socket, time; s = socket.create_server(('127.0.0.1', 8081)); print(flush=True); time.sleep(60)"
    with subprocess.Popen(["python3", "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            with pytest.raises(PlanRefused, match=rf"8081 is in use by process {other.pid} \(python3 -c import socket"):
                reserve(PortBinding(80, "8081"))
        finally:
            other.kill()


def test_changes_of_the_firewall_are_noticed() -> None:
    async def run() -> None:
        heard = asyncio.Event()
        watch = FirewallWatch(asyncio.get_running_loop(), heard.set)
        await asyncio.to_thread(sh, "nft add table ip somebody; nft delete table ip somebody")
        await asyncio.wait_for(heard.wait(), 3)
        watch.close()

    asyncio.run(run())
