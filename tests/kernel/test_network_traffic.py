"""Who can talk to whom, over real bridges, veths and firewalls, also beside other firewalls that forbid forwarding."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stackup.base.paths import Layout
from stackup.model.resources import Network
from stackup.network.manager import NetworkManager
from stackup.network.types import NetworkState, PublishedPort, Wanted
from tests.kernel.network_lab import FAR_AWAY, HOST_ADDRESS, Box, ask, get, sh, world

pytestmark = pytest.mark.root

DOCKER = (
    "{0} -P FORWARD DROP; {0} -N DOCKER-USER; {0} -A FORWARD -j DOCKER-USER; {0} -A DOCKER-USER -j RETURN; "
    "{0} -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
)
OTHER_FIREWALLS = {
    "none": "true",
    "docker": DOCKER.format("iptables-nft"),
    "docker-legacy": DOCKER.format("iptables-legacy"),
    "ufw": "iptables-nft -P FORWARD DROP; iptables-nft -A FORWARD -j REJECT; iptables-nft -P INPUT DROP; "
    "iptables-nft -A INPUT -i lo -j ACCEPT; iptables-nft -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
    "firewalld": """nft 'table inet firewalld { chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        ct state invalid drop
        reject with icmpx admin-prohibited
    }
    }'""",
    "admin": """nft 'table inet filter { chain forward { type filter hook forward priority 0; policy drop; }
    }'""",
}


@dataclass
class Lab:
    manager: NetworkManager
    other: NetworkManager
    front: NetworkState
    back: NetworkState
    elsewhere: NetworkState
    web: Box
    db: Box
    both: Box
    stranger: Box
    outside: Box
    addresses: dict[str, str]


def set_bridge_nf(value: str) -> None:
    path = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if path.exists():
        path.write_text(value)


BESIDE_DOCKER = ("docker", "1")
everywhere = pytest.mark.parametrize(
    "lab",
    [(name, value) for name in OTHER_FIREWALLS for value in "10" if (name, value) != ("ufw", "0")],
    indirect=True,
    ids=lambda item: "-nf".join(item),
)


@pytest.fixture
def lab(request: pytest.FixtureRequest, state_root: Path) -> Iterator[Lab]:
    """Two stacks, a machine outside, another firewall, and bridge-nf-call-iptables as given."""
    firewall, bridge_nf = getattr(request, "param", BESIDE_DOCKER)
    sh(OTHER_FIREWALLS[firewall])
    set_bridge_nf(bridge_nf)
    rules = all_rules(firewall)
    boxes: list[Box] = []
    layout = Layout.at(state_root)
    manager, other = NetworkManager(layout, "shop"), NetworkManager(layout, "blog")
    try:
        with world() as outside:
            outside.serve("outside", 80)
            front = manager.create("front", Network(name="shop_front"))
            back = manager.create("back", Network(name="shop_back", internal=True))
            elsewhere = other.create("default", Network(name="blog_default"))
            web, db, both, stranger = (Box() for _ in range(4))
            boxes += [web, db, both, stranger]
            places = {
                "web": manager.attach_all("web", 1, [(front, Wanted())]),
                "db": manager.attach_all("db", 1, [(back, Wanted())]),
                "both": manager.attach_all("both", 1, [(front, Wanted()), (back, Wanted())]),
                "stranger": other.attach_all("stranger", 1, [(elsewhere, Wanted())]),
            }
            addresses = {name: items[0].address for name, items in places.items()}
            web.attach(*places["web"]).serve("web").serve("web", 53, udp=True)
            db.attach(*places["db"]).serve("db")
            both.attach(*places["both"])
            stranger.attach(*places["stranger"])
            manager.publish(
                [
                    PublishedPort("tcp", "", 8080, 80, addresses["web"], holder="shop-web-1"),
                    PublishedPort("udp", "", 5353, 53, addresses["web"], holder="shop-web-1"),
                    PublishedPort("tcp", "127.0.0.1", 8081, 80, addresses["web"], holder="shop-web-1"),
                ]
            )
            yield Lab(manager, other, front, back, elsewhere, web, db, both, stranger, outside, addresses)
    finally:
        for box in boxes:
            box.close()
        manager.purge()
        other.purge()
        after = all_rules(firewall)
        sh("nft flush ruleset")
        if "legacy" in firewall:
            sh("iptables-legacy -F; iptables-legacy -X; iptables-legacy -P FORWARD ACCEPT")
        set_bridge_nf("1")
    assert after == rules


def all_rules(firewall: str) -> list[str]:
    text = sh("nft list ruleset") + (sh("iptables-legacy -S") if "legacy" in firewall else "")
    return [re.sub(r"packets \d+ bytes \d+", "", line) for line in text.splitlines()]


@everywhere
def test_who_talks_to_whom(lab: Lab) -> None:
    web, db = lab.addresses["web"], lab.addresses["db"]
    assert lab.web.get(FAR_AWAY) == f"outside {HOST_ADDRESS}"  # outbound, with the host's address
    assert lab.both.get(web).startswith("web ")  # service to service
    assert lab.both.get(db).startswith("db ")
    assert lab.web.get(db, timeout=0.3) != "db"  # another network of the same stack
    assert lab.stranger.get(web, timeout=0.3) == "timeout"  # another stack
    assert lab.db.get(FAR_AWAY, timeout=0.3) != f"outside {HOST_ADDRESS}"  # internal: no way out
    assert lab.outside.get(FAR_AWAY) == f"outside {FAR_AWAY}"


@everywhere
def test_published_ports(lab: Lab) -> None:
    assert lab.outside.get(HOST_ADDRESS, 8080) == "web 192.0.2.1"
    assert lab.outside.ask(HOST_ADDRESS, 5353) == "web 192.0.2.1"
    assert get("127.0.0.1", 8080).startswith("web ")  # localhost
    assert ask("127.0.0.1", 5353).startswith("web ")
    assert get(HOST_ADDRESS, 8080).startswith("web ")  # the host's own address
    assert lab.web.get(HOST_ADDRESS, 8080).startswith("web ")  # a container meets itself
    assert lab.both.get(HOST_ADDRESS, 8080).startswith("web ")  # from the same network
    assert lab.web.get(lab.front.gateway, 8080).startswith("web ")
    assert lab.stranger.get(HOST_ADDRESS, 8080).startswith("web ")  # from another stack
    assert lab.stranger.get(lab.elsewhere.gateway, 8080).startswith("web ")


def test_a_port_on_localhost_is_for_this_machine_only(lab: Lab) -> None:
    assert get("127.0.0.1", 8081).startswith("web ")
    assert lab.outside.get(HOST_ADDRESS, 8081, timeout=0.3) == "refused"
    lab.outside.sh(_MISLED.format(device="eth0", via=HOST_ADDRESS))
    assert not lab.outside.run(lambda: _reach_localhost("eth0", 8081)).startswith("web")
    lab.both.sh(_MISLED.format(device="eth1", via=lab.front.gateway))
    with socket.create_server(("127.0.0.1", 9999)):
        assert lab.both.run(lambda: _reach_localhost("eth1", 9999)) == "timeout"


# Somebody who sends packets for 127.0.0.1 over the wire.
_MISLED = (
    "ip route add 127.0.0.1/32 via {via} dev {device} table 100; ip rule add pref 0 to 127.0.0.1 lookup 100; "
    "ip rule del pref 0 lookup local; ip rule add pref 1 lookup local; "
    "echo 1 > /proc/sys/net/ipv4/conf/{device}/route_localnet"
)


def _reach_localhost(device: str, port: int) -> str:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        sock.settimeout(0.5)
        try:
            sock.connect(("127.0.0.1", port))
            return sock.recv(100).decode()
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return str(error)


def test_nobody_outside_routes_to_a_container(lab: Lab) -> None:
    lab.outside.sh(f"ip route add {lab.front.subnet} via {HOST_ADDRESS}")
    assert lab.outside.get(lab.addresses["web"], timeout=0.3) == "timeout"


def test_late_packets_stay_here(lab: Lab) -> None:
    """The bridge is gone, a client still sends: nothing of it may be seen outside."""
    address = lab.addresses["web"]
    sh(f"ip link del {lab.front.bridge}")
    with lab.outside.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))) as tap:
        tap.settimeout(0.3)
        ask(address, 80, 0.05)
        get(address, 80, 0.05)
        get("127.0.0.1", 8080, 0.05)
        lab.outside.get(HOST_ADDRESS, 8080, 0.05)
        lab.stranger.get(address, timeout=0.05)
        seen = []
        try:
            while True:
                seen.append(tap.recv(2000))
        except TimeoutError:
            pass
    target = socket.inet_aton(address)
    assert not [packet for packet in seen if packet[12:14] == b"\x08\x00" and packet[30:34] == target]


@pytest.mark.parametrize("lab", [BESIDE_DOCKER], indirect=True)
def test_flushed_rules_come_back(lab: Lab) -> None:
    assert lab.manager.verify() == [] == lab.other.verify()
    sh("nft flush ruleset")
    assert lab.manager.verify()
    assert lab.other.verify()
    assert lab.manager.verify() == []
    assert lab.outside.get(HOST_ADDRESS, 8080) == "web 192.0.2.1"
    sh(DOCKER.format("iptables-nft"))


@pytest.mark.parametrize("lab", [("none", "1")], indirect=True)
def test_a_docker_engine_that_starts_later(lab: Lab) -> None:
    sh(DOCKER.format("iptables-nft"))
    assert lab.web.get(FAR_AWAY, timeout=0.3) == "timeout"
    assert lab.manager.verify()
    assert lab.web.get(FAR_AWAY) == f"outside {HOST_ADDRESS}"
    lab.manager.purge()
    sh("nft delete table ip filter")
