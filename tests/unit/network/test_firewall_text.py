from __future__ import annotations

import pytest

from stackup.base.errors import HostUnfit
from stackup.linux.nftables import Nft
from stackup.network.firewall import ports_text, removal_text, table_text
from stackup.network.foreign import _legacy_rule
from stackup.network.types import Attachment, NetworkState, PortBinding, PublishedPort

FRONT = NetworkState(
    "front",
    "shop_front",
    "1",
    "shop",
    "skb1",
    2,
    7,
    subnet="172.17.0.0/16",
    gateway="172.17.0.1",
    subnet6="fd00:1::/64",
)
BACK = NetworkState("back", "shop_back", "2", "shop", "skb2", 3, 7, subnet="172.18.0.0/16", internal=True, talk=False)
WEB = PublishedPort("tcp", "", 8080, 80, "172.17.0.2", "fd00:1::2", holder='web"\n1')


def lines(text: str, start: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(start)]


def test_sets_name_what_there_is() -> None:
    text = table_text("stackup_x", "shop", [FRONT, BACK], [])
    assert lines(text, "set bridges") == ['set bridges { type ifname; elements = { "skb1", "skb2" }; }']
    assert lines(text, "set closed") == ['set closed { type ifname; elements = { "skb2" }; }']
    assert lines(text, "set within") == ['set within { type ifname . ifname; elements = { "skb1" . "skb1" }; }']
    assert lines(text, "set subnets6") == [
        "set subnets6 { type ipv6_addr; flags interval; elements = { fd00:1::/64 }; }"
    ]
    assert text.startswith("table inet stackup_x\ndelete table inet stackup_x\ntable inet stackup_x {\n")


def test_one_element_a_port() -> None:
    ports = [
        WEB,
        PublishedPort("udp", "127.0.0.1", 53, 5353, "172.17.0.2"),
        PublishedPort("tcp", "::1", 81, 80, "172.17.0.2", "fd00:1::2"),
        PublishedPort("tcp", "0.0.0.0", 82, 80, "172.17.0.2", "fd00:1::2"),
    ]
    assert ports_text("stackup_x", ports).splitlines() == [
        "flush map inet stackup_x any4",
        'add element inet stackup_x any4 { tcp . 8080 comment "web1" : 172.17.0.2 . 80, tcp . 82 : 172.17.0.2 . 80 }',
        "flush map inet stackup_x at4",
        "add element inet stackup_x at4 { 127.0.0.1 . udp . 53 : 172.17.0.2 . 5353 }",
        "flush map inet stackup_x any6",
        'add element inet stackup_x any6 { tcp . 8080 comment "web1" : fd00:1::2 . 80 }',
        "flush map inet stackup_x at6",
        "add element inet stackup_x at6 { ::1 . tcp . 81 : fd00:1::2 . 80 }",
    ]


def test_removal_needs_no_table() -> None:
    assert removal_text("stackup_x") == "table inet stackup_x\ndelete table inet stackup_x\n"


def test_legacy_rules_are_recognised() -> None:
    line = "-A FORWARD -i skb1 -m comment --comment stackup_x -j ACCEPT"
    assert _legacy_rule(line) == ("i", "skb1", "stackup_x")
    assert _legacy_rule('-A FORWARD -o eth0 -m comment --comment "not ours" -j ACCEPT') == ("o", "eth0", "not ours")
    assert _legacy_rule("-A FORWARD -j DROP") is None


def test_values_survive_records() -> None:
    attachment = Attachment(
        "c", "front", "1", "skb1", "skv1", "eth0", "02:42:ac:11:00:02", ("172.17.0.2/16", "fd00:1::2/64"),
        "172.17.0.1", "fd00:1::1", "stackup x", 7, aliases=("web",),
    )  # fmt: skip
    assert Attachment.from_dict(attachment.to_dict()) == attachment
    assert (attachment.address, attachment.address6) == ("172.17.0.2", "fd00:1::2")
    assert attachment.gateways == "172.17.0.1,fd00:1::1"
    assert NetworkState.from_dict(BACK.to_dict()) == BACK
    assert PublishedPort.from_dict(WEB.to_dict()) == WEB
    assert str(PortBinding(80, "8080", host_ip="::1")) == "[::1]:8080:80/tcp"
    assert str(PortBinding(80)) == "80/tcp"


def test_a_missing_library_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackup.linux.nftables.LIBRARY", "libnothing.so.1")
    with pytest.raises(HostUnfit, match=r"libnothing.so.1 is missing") as caught:
        Nft()
    assert "apt-get install libnftables1" in caught.value.hint
