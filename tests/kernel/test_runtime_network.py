"""Links that the child makes itself, and the resolver's sockets behind port 53 of 127.0.0.11."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackup.base.errors import ContainerFault
from stackup.oci import runtime as oci
from stackup.runtime.bundle import Veth
from tests.kernel.runtime_lab import Lab, Running, process, spec
from tests.support.waiting import eventually

pytestmark = pytest.mark.root
SLEEP = process("sleep", "1000")


@pytest.fixture
def lab(state_root: Path, busybox_root: Path) -> Iterator[Lab]:
    for number in (1, 2):
        tell("ip", "link", "add", f"skbt{number}", "up", "type", "bridge")
        tell("ip", "address", "add", f"10.77.{number}.1/24", "dev", f"skbt{number}")
        tell("ip", "-6", "address", "add", f"fd77:{number}::1/64", "dev", f"skbt{number}", "nodad")
    lab = Lab(state_root, busybox_root)
    yield lab
    lab.close()
    for number in (1, 2):
        tell("ip", "link", "delete", f"skbt{number}")


def tell(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def veth(number: int, host: int, **fields: object) -> Veth:
    given: dict[str, object] = {
        "mac": f"02:42:0a:4d:{number:02x}:{host:02x}",
        "addresses": (f"10.77.{number}.{host}/24",),
        "gateway": f"10.77.{number}.1",
        "alias": f"stackup lab/net{number}/{host}",
        "group": 4711,
        **fields,
    }
    return Veth(f"skvt{number}x{host}", f"eth{number - 1}", f"skbt{number}", **given)  # type: ignore[arg-type]


def test_two_endpoints(lab: Lab) -> None:
    running = lab.start(spec(SLEEP), veths=(veth(1, 5), veth(2, 6)))
    links = {link["ifname"]: link for link in json.loads(tell("ip", "-d", "-j", "link"))}
    for name, bridge, alias in (("skvt1x5", "skbt1", "net1/5"), ("skvt2x6", "skbt2", "net2/6")):
        assert links[name]["master"] == bridge
        assert links[name]["operstate"] == "UP"
        assert links[name]["group"] == "4711"
        assert links[name]["ifalias"] == f"stackup lab/{alias}"
    _, text = lab.exec(
        running, "sh", "-c", "ip -o -4 addr; ip route; cat /sys/class/net/eth0/address; ping -c1 -W1 10.77.1.1"
    )
    assert "10.77.1.5/24" in text
    assert "10.77.2.6/24" in text
    assert "default via 10.77.1.1 dev eth0" in text
    assert "default via 10.77.2.1" not in text
    assert "02:42:0a:4d:01:05" in text
    assert "1 packets received" in text


def test_ipv6(lab: Lab) -> None:
    end = veth(1, 5, addresses=("10.77.1.5/24", "fd77:1::5/64"), gateway="10.77.1.1,fd77:1::1")
    running = lab.start(spec(SLEEP), veths=(end,))
    _, text = lab.exec(running, "sh", "-c", "ip -6 route; ping -6 -c1 -W1 fd77:1::1")
    assert "default via fd77:1::1" in text
    assert "1 packets received" in text


def test_containers_reach_each_other(lab: Lab) -> None:
    first = lab.start(spec(SLEEP), veths=(veth(1, 5),))
    lab.start(spec(SLEEP), veths=(veth(1, 6),))
    status, text = lab.exec(first, "ping", "-c1", "-W1", "10.77.1.6")
    assert status == 0, text


def test_links_go_with_the_container(lab: Lab) -> None:
    running = lab.start(spec(SLEEP), veths=(veth(1, 5),), dns=True)
    lab.run(lab.client.signal(running.id, 9))
    lab.ended(running.id)
    for fd in (running.started.dns_udp, running.started.dns_tcp):
        assert fd is not None
        os.close(fd)
    eventually(lambda: "skvt1x5" not in tell("ip", "link"), timeout=3)


def test_a_missing_bridge_is_named(lab: Lab) -> None:
    with pytest.raises(ContainerFault, match="cannot connect the container to its network 'skbt1x': there is no such"):
        lab.start(spec(SLEEP), veths=(Veth("skvx", "eth0", "skbt1x"),))


def test_a_name_in_use_is_named(lab: Lab) -> None:
    lab.start(spec(SLEEP), veths=(veth(1, 5),))
    with pytest.raises(ContainerFault, match="create link skvt1x5: File exists"):
        lab.start(spec(SLEEP), veths=(veth(1, 5),))


def test_a_shared_network_namespace(lab: Lab) -> None:
    first = lab.start(spec(SLEEP), veths=(veth(1, 5),))
    namespaces = tuple(
        oci.Namespace(kind, f"/proc/{first.started.pid}/ns/net" if kind == "network" else "")
        for kind in ("mount", "pid", "ipc", "uts", "network", "cgroup")
    )
    assert "10.77.1.5/24" in lab.shell("ip -o addr", namespaces=namespaces)


def test_the_hosts_network(lab: Lab) -> None:
    namespaces = tuple(oci.Namespace(kind) for kind in ("mount", "pid", "ipc", "uts", "cgroup"))
    assert "skbt1" in lab.shell("ip link", namespaces=namespaces)


def answer_queries(running: Running, done: object) -> list[str]:
    """A name server of the least kind: every A query gets 10.9.0.99, until ``done()``."""
    started = running.started
    assert started.dns_udp is not None
    assert started.dns_tcp is not None
    udp = socket.socket(fileno=os.dup(started.dns_udp))
    tcp = socket.socket(fileno=os.dup(started.dns_tcp))
    asked = []
    poll = select.poll()
    poll.register(udp, select.POLLIN)
    poll.register(tcp, select.POLLIN)
    while not done():  # type: ignore[operator]
        for fd, _ in poll.poll(20):
            if fd == udp.fileno():
                query, address = udp.recvfrom(512)
                asked.append("udp")
                udp.sendto(reply(query), address)
            else:
                connection, _ = tcp.accept()
                connection.setblocking(True)
                query = connection.recv(512)[2:]
                asked.append("tcp")
                connection.sendall(len(reply(query)).to_bytes(2, "big") + reply(query))
                connection.close()
    udp.close()
    tcp.close()
    return asked


def reply(query: bytes) -> bytes:
    a_record = query[-3] == 1
    head = query[:2] + b"\x81\x80\0\1\0" + (b"\1" if a_record else b"\0") + b"\0\0\0\0" + query[12:]
    return head + (b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x0a\x09\x00\x63" if a_record else b"")


@pytest.mark.parametrize("without", ["", "nft"])
def test_names_are_resolved_through_the_handed_out_sockets(state_root: Path, busybox_root: Path, without: str) -> None:
    lab = Lab(state_root, busybox_root, {"STACKUP_WITHOUT": without} if without else None)
    running = lab.start(spec(process("sh", "-c", "nslookup foo.test 127.0.0.11; exit 5")), dns=True)

    def done() -> bool:
        lab.run(_nothing())
        return running.id in lab.exits

    assert "udp" in answer_queries(running, done)
    assert "10.9.0.99" in lab.output(running)
    lab.close()


async def _nothing() -> None:
    import asyncio

    await asyncio.sleep(0)


OWN_SERVER = """
import socket
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", 53))
tcp = socket.create_server(("0.0.0.0", 53))
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(2)
client.sendto(b"own?", ("127.0.0.1", 53))
query, address = udp.recvfrom(100)
udp.sendto(query + b" udp", address)
print(client.recv(100).decode())
connection = socket.create_connection(("127.0.0.1", 53), 2)
tcp.accept()[0].send(b"own tcp")
print(connection.recv(100).decode())
client.sendto(b"\\x12\\x34\\x01\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3foo\\4test\\0\\0\\1\\0\\1", ("127.0.0.11", 53))
answer, address = client.recvfrom(512)
print(answer[-4:].hex(), *address)
"""


def test_a_container_may_serve_names_itself(lab: Lab) -> None:
    """0.0.0.0:53, UDP and TCP, can be bound beside the resolver; each answers for itself."""
    running = lab.start(spec(SLEEP), dns=True)
    command = ["nsenter", f"--net=/proc/{running.started.pid}/ns/net", sys.executable, "-ISEc", OWN_SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as own:
        assert answer_queries(running, lambda: own.poll() is not None) == ["udp"]
        assert own.stdout
        assert own.stdout.read().splitlines() == ["own? udp", "own tcp", "0a090063 127.0.0.11 53"]


def test_resolver_over_tcp(lab: Lab) -> None:
    running = lab.start(spec(SLEEP), dns=True)
    query = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\3foo\4test\0\0\1\0\1"
    octal = "".join(f"\\{byte:03o}" for byte in len(query).to_bytes(2, "big") + query)
    asked, text = asking(lab, running, f"(printf '{octal}'; sleep 1) | nc 127.0.0.11 53 | od -An -tx1 | tr -d ' \\n'")
    assert asked == ["tcp"]
    assert "0a090063" in text


def asking(lab: Lab, running: Running, script: str) -> tuple[list[str], str]:
    """What was asked, and what the script in the container said, while the name server answers."""
    reading, writing = os.pipe()
    with open("/dev/null", "rb") as null:
        work = lab.client.exec(running.id, process("sh", "-c", script), stdio=(null.fileno(), writing, writing))
        told = lab.run(work)
    os.close(writing)

    def done() -> bool:
        lab.run(_nothing())
        return told.exec_id in lab.exits

    asked = answer_queries(running, done)
    with open(reading) as file:
        return asked, file.read()
