"""Networks made, found again, taken away: with real bridges in this namespace."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackup.base import names
from stackup.base.errors import HostUnfit, PlanRefused, StackFileError
from stackup.base.paths import Layout
from stackup.model.resources import Network
from stackup.network import links
from stackup.network.manager import NetworkManager
from stackup.network.types import NetworkState, PublishedPort, Wanted
from tests.kernel.network_lab import Box, ask, get, sh, world

pytestmark = pytest.mark.root

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
FORWARD6 = Path("/proc/sys/net/ipv6/conf/all/forwarding")


def network(key: str = "default", project: str = "shop", **more: Any) -> Network:
    return Network.model_validate({"name": f"{project}_{key}", **more})


def bridges() -> dict[str, dict[str, Any]]:
    text = subprocess.run(["ip", "-j", "-d", "addr", "show", "type", "bridge"], capture_output=True, text=True).stdout
    return {item["ifname"]: item for item in json.loads(text) if item}


def tables() -> str:
    return sh("nft list tables")


@pytest.fixture
def layout(state_root: Path) -> Iterator[Layout]:
    assert FORWARD.read_text().strip() == "0"
    yield Layout.at(state_root)
    assert bridges() == {}
    assert "stackup" not in tables()
    assert list((state_root / "run" / "leases").glob("*.leases")) == []
    assert FORWARD.read_text().strip() == "0"
    assert FORWARD6.read_text().strip() == "0"


@pytest.fixture
def manager(layout: Layout) -> Iterator[NetworkManager]:
    made = NetworkManager(layout, "shop")
    yield made
    made.purge()


def test_a_network_is_made_and_removed(manager: NetworkManager) -> None:
    state = manager.create("default", network(), "abc")
    bridge = bridges()[state.bridge]
    assert bridge["ifindex"] == state.ifindex
    assert bridge["flags"].count("UP") == 1
    assert "shop default" in bridge["ifalias"]
    assert [item["local"] for item in bridge["addr_info"]] == [state.gateway]
    assert FORWARD.read_text().strip() == "1"
    assert state.config_hash == "abc"
    assert manager.find("shop_default") == state
    manager.remove(state)
    assert bridges() == {}
    assert FORWARD.read_text().strip() == "0"


def test_two_state_roots_share_a_machine(manager: NetworkManager, tmp_path: Path) -> None:
    other = NetworkManager(Layout.at(tmp_path), "shop")
    first, second = manager.create("default", network()), other.create("default", network())
    assert first.bridge != second.bridge
    assert first.subnet != second.subnet
    manager.remove(first)
    assert FORWARD.read_text().strip() == "1"
    other.remove(second)
    assert FORWARD.read_text().strip() == "0"


def test_many_at_once_get_different_subnets(layout: Layout) -> None:
    managers = [NetworkManager(layout, f"p{number}") for number in range(6)]
    states: list[NetworkState] = []
    threads = [
        threading.Thread(target=lambda item=item: states.append(item.create("default", network(project="p"))))
        for item in managers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({state.subnet for state in states}) == len(managers)
    for item in managers:
        item.purge()


def test_the_hosts_networks_are_avoided(manager: NetworkManager) -> None:
    sh("ip link add out0 type veth peer name out1; ip link set out0 up; ip link set out1 up")
    try:
        sh("ip addr add 172.17.9.1/24 dev out0; ip route add 172.18.0.0/15 via 172.17.9.2")
        sh("ip route add 0.0.0.0/1 via 172.17.9.2; ip route add 128.0.0.0/1 via 172.17.9.2")
        assert manager.create("default", network()).subnet == "172.20.0.0/16"
        with pytest.raises(PlanRefused, match=r"overlaps 172.17.9.0/24, which out0 uses"):
            manager.create("x", network("x", ipam={"config": [{"subnet": "172.17.0.0/16"}]}))
    finally:
        sh("ip link del out0")


def test_a_failure_leaves_nothing(manager: NetworkManager, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise HostUnfit("cannot enable forwarding: read-only")

    monkeypatch.setattr("stackup.network.sysctl.enable_forwarding", refuse)
    with pytest.raises(HostUnfit):
        manager.create("default", network())
    assert bridges() == {}


def test_a_link_that_is_not_ours_is_not_touched(manager: NetworkManager) -> None:
    bridge = names.bridge_name("shop", "default", manager._layout.root)
    sh(f"ip link add {bridge} type bridge")
    with pytest.raises(PlanRefused, match="is not this stack's"):
        manager.create("default", network())
    sh(f"ip link del {bridge}")


def test_static_addresses(manager: NetworkManager) -> None:
    pool = {"config": [{"subnet": "10.77.0.0/24", "gateway": "10.77.0.254", "aux_addresses": {"a": "10.77.0.1"}}]}
    state = manager.create("default", network(ipam=pool))
    fixed = manager.attach(state, "c1", 1, Wanted(address="10.77.0.9", mac="02:42:AA-bb-cc-dd", interface="lan0"))
    assert (fixed.addresses, fixed.mac) == (("10.77.0.9/24",), "02:42:aa:bb:cc:dd")
    assert (fixed.container_name, fixed.gateway) == ("lan0", "10.77.0.254")
    assert manager.attach(state, "c2", 1).address == "10.77.0.2"
    assert manager.attach(state, "c1", 2, Wanted(address="10.77.0.9")).host_name != fixed.host_name
    for wanted, words in (
        (Wanted(address="10.77.0.9"), "is container c1's"),
        (Wanted(address="10.78.0.9"), "is not inside its subnet"),
        (Wanted(address="10.77.0.254"), "is the network's gateway"),
        (Wanted(mac="01:00:00:00:00:01"), "multicast"),
        (Wanted(mac="nonsense"), "six pairs"),
    ):
        with pytest.raises(StackFileError, match=words):
            manager.attach(state, "c3", 1, wanted)
    manager.release("c1")
    assert manager.attach(state, "c3", 1, Wanted(address="10.77.0.9")).address == "10.77.0.9"


def test_addresses_stay_until_released_and_are_not_given_again_at_once(manager: NetworkManager) -> None:
    state = manager.create("default", network())
    first = manager.attach(state, "c1", 1)
    assert manager.attach(state, "c1", 2).address == first.address
    manager.release("c1")
    assert manager.attach(state, "c2", 1).address != first.address
    assert NetworkManager(manager._layout, "shop").attach(state, "c2", 2).address == "172.17.0.3"


def test_several_networks_one_door(manager: NetworkManager) -> None:
    states = {key: manager.create(key, network(key, internal=key == "a")) for key in "abc"}
    found = manager.attach_all("c1", 1, [(states[key], Wanted()) for key in "cab"])
    assert [(item.network, item.container_name, bool(item.gateway)) for item in found] == [
        ("b", "eth1", True),
        ("a", "eth0", False),
        ("c", "eth2", False),
    ]
    found = manager.attach_all(
        "c2", 1, [(states["b"], Wanted(priority=1)), (states["c"], Wanted(gw_priority=1, priority=9))]
    )
    assert [(item.network, bool(item.gateway)) for item in found] == [("c", True), ("b", False)]


def test_a_network_of_another_stack(manager: NetworkManager, layout: Layout) -> None:
    other = NetworkManager(layout, "blog")
    with pytest.raises(StackFileError, match="declared as external, but does not exist"):
        other.create("shared", network(external=True))
    state = manager.create("default", network())
    shared = other.create("shared", network(external=True))
    assert (shared.bridge, shared.owner, shared.external) == (state.bridge, "shop", True)
    (place,) = other.attach_all("c9", 1, [(shared, Wanted(aliases=("blog",)))], ("blog-web-1",))
    assert manager.neighbours().lookup(state.bridge, "blog-web-1") == (place.address,)
    assert other.neighbours().lookup(state.bridge, "blog-web-1") is None
    with pytest.raises(PlanRefused, match="containers of blog are attached"):
        manager.remove(state)
    other.purge()
    other.remove(shared)
    assert state.bridge in bridges()
    manager.remove(state)


def test_recovery(manager: NetworkManager, layout: Layout) -> None:
    front, back, quiet = (manager.create(name, network(name)) for name in ("front", "back", "quiet"))
    stray = manager.create("stray", network("stray"))
    places = [manager.attach(front, f"c{number}", 1) for number in range(3)]
    ports = [PublishedPort("tcp", "", 8080, 80, places[0].address)]
    places.append(manager.attach(back, "c3", 1))
    sh(f"ip link del {back.bridge}; ip link del {quiet.bridge}; nft flush ruleset; rm {layout.leases}/*.leases")
    successor = NetworkManager(layout, "shop")
    now = successor.recover([front, back, quiet], places, ports)
    assert now[0] == front
    assert (now[1].subnet, now[1].id) == (back.subnet, back.id)
    assert (now[2].subnet, now[2].id) == (quiet.subnet, quiet.id)
    assert set(bridges()) == {front.bridge, back.bridge, quiet.bridge}
    assert stray.bridge not in bridges()
    assert successor.attach(front, "c1", 2).address == places[1].address
    assert successor.attach(front, "new", 1).address not in {item.address for item in places}
    assert "8080" in sh("nft list ruleset")
    assert successor.verify() == []


def test_purge_needs_no_records(manager: NetworkManager, layout: Layout) -> None:
    state = manager.create("default", network())
    box = Box().attach(manager.attach(state, "c1", 1))
    sh("iptables-nft -P FORWARD DROP")
    manager.verify()
    assert "stackup" in sh("iptables-nft -S FORWARD")
    sh(f"rm -r {layout.leases}")
    NetworkManager(layout, "shop").purge()
    assert "skv" not in sh("ip link")
    assert "stackup" not in sh("iptables-nft -S FORWARD")
    sh("nft delete table ip filter")
    box.close()


def test_veths_are_swept_in_one_message(manager: NetworkManager) -> None:
    state = manager.create("default", network())
    boxes = [Box().attach(manager.attach(state, f"c{number}", 1)) for number in range(4)]
    manager.sweep()
    manager.sweep()
    assert "skv" not in sh("ip link")
    for box in boxes:
        box.close()


def test_a_udp_client_follows_a_recreated_container(manager: NetworkManager) -> None:
    """The same client port all the time, so that connection tracking would keep the old answer for ever."""
    with world() as outside:
        state = manager.create("default", network())
        boxes = []
        answers = []
        import socket

        client = outside.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for number in (1, 2):
            place = manager.attach(state, f"c{number}", 1)
            boxes.append(Box().attach(place).serve(f"replica {number}", 53, udp=True))
            manager.publish([PublishedPort("udp", "", 5353, 53, place.address)])
            answers.append(ask("192.0.2.2", 5353, sock=client.dup()))
        client.close()
        assert [item.rpartition(" ")[0] for item in answers] == ["replica 1", "replica 2"]
        for box in boxes:
            box.close()


def test_ipv6(manager: NetworkManager) -> None:
    with world() as outside:
        sh("ip addr add fd77::2/64 dev up0 nodad")
        outside.sh("ip addr add fd77::1/64 dev eth0 nodad")
        outside.serve("outside", 80, "::")
        state = manager.create("default", network(enable_ipv6=True))
        web, client = manager.attach(state, "web", 1), manager.attach(state, "client", 1)
        box, other = Box().attach(web).serve("web", 80, "::").serve("web"), Box().attach(client)
        manager.publish([PublishedPort("tcp", "", 8080, 80, web.address, web.address6)])
        assert other.get(web.address6).startswith("web")
        assert other.get("fd77::1") == "outside fd77::2"
        assert outside.get("fd77::2", 8080) == "web fd77::1"
        assert get("fd77::2", 8080).startswith("web")
        assert other.get("fd77::2", 8080).startswith("web")
        assert outside.get("192.0.2.2", 8080).startswith("web")
        manager.purge()
        box.close()
        other.close()


def test_a_network_without_ipv4(manager: NetworkManager) -> None:
    state = manager.create("default", network(enable_ipv4=False, enable_ipv6=True))
    first, second = manager.attach(state, "a", 1), manager.attach(state, "b", 1)
    assert (first.address, first.address6 != second.address6) == ("", True)
    one, two = Box().attach(first).serve("first", 80, "::"), Box().attach(second)
    assert two.get(first.address6).startswith("first")
    one.close()
    two.close()


def test_containers_that_may_not_talk(manager: NetworkManager) -> None:
    Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text("0")
    options = {"com.docker.network.bridge.enable_icc": "false"}
    state = manager.create("default", network(driver_opts=options))
    first, second = manager.attach(state, "a", 1), manager.attach(state, "b", 1)
    one, two = Box().attach(first).serve("first"), Box().attach(second)
    manager.publish([])
    assert two.get(first.address, timeout=0.3) != "first"
    assert get(first.address).startswith("first")
    one.close()
    two.close()
    Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text("1")


def test_errors_name_the_step(manager: NetworkManager) -> None:
    with links.Rtnl() as rtnl, pytest.raises(links.LinkError) as caught:
        rtnl.send(links.set_up(424242))
    assert caught.value.step == "bring the bridge up"


def test_killed_at_any_moment(manager: NetworkManager, layout: Layout) -> None:
    """Whatever a process had half made when it was killed: its successor makes it anew, and purge takes all away."""
    code = f"""
from types import SimpleNamespace
from stackup.base.paths import Layout
from stackup.network.manager import NetworkManager
from stackup.network.types import PublishedPort
manager = NetworkManager(Layout.at({layout.root!r}), "shop")
network = SimpleNamespace(name="shop_default", driver=None, driver_opts={{}}, ipam=SimpleNamespace(config=()),
                          external=False, internal=False, enable_ipv4=None, enable_ipv6=None)
print(flush=True)
while True:
    state = manager.create("default", network)
    place = manager.attach(state, "c", 1)
    manager.publish([PublishedPort("tcp", "", 80, 80, place.address)])
    manager.remove(state)
"""
    chance = random.Random(7)
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.12))
            process.kill()
    state = manager.create("default", network())
    assert list(bridges()) == [state.bridge]
    assert manager.attach(state, "c1", 1).address == "172.17.0.2"
