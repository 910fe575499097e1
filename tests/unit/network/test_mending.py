"""What is wrong with networks under running containers; what is heard of links; whether a firewall table is whole."""

from __future__ import annotations

from ipaddress import ip_network
from struct import pack

import pytest

from stackup.base.values import changed
from stackup.network.firewall import shape, shape_of, table_text
from stackup.network.links import Link
from stackup.network.linkwatch import names_in
from stackup.network.mending import faults
from stackup.network.types import Attachment, NetworkState, PublishedPort

STATE = NetworkState("default", "shop_default", "1", "shop", "skb1", 2, 7, subnet="10.9.0.0/24", gateway="10.9.0.1")
WEB = Attachment("w", "default", "1", "skb1", "skvw", "eth0", "", ("10.9.0.2/24",), "10.9.0.1", "", "", 7)
BRIDGE = Link(2, "skb1", "bridge", "", 0, 0, True)
LINK = Link(5, "skvw", "veth", "", 7, 2, True)
ADDRESS = (2, ip_network("10.9.0.0/24"))


@pytest.mark.parametrize(
    ("links", "addresses", "found"),
    [
        ([BRIDGE, LINK], [ADDRESS], []),
        ([BRIDGE], [ADDRESS], ["skvw is gone"]),
        ([BRIDGE, changed(LINK, master=0)], [ADDRESS], ["skvw is not in its bridge"]),
        ([BRIDGE, changed(LINK, up=False)], [ADDRESS], ["skvw is down"]),
        ([BRIDGE, LINK], [], ["skb1 has lost its address in 10.9.0.0/24"]),
        ([changed(BRIDGE, up=False), LINK], [ADDRESS], ["skb1 is down"]),
        ([changed(LINK, master=0)], [], ["skb1 is gone", "skvw is not in its bridge"]),
    ],
)
def test_faults(links: list[Link], addresses: list[object], found: list[str]) -> None:
    seen = faults([STATE], [WEB], links, addresses)  # type: ignore[arg-type]
    assert [f"{fault.link} {fault.text}" for fault in seen] == found


def test_the_bridge_of_another_stack_is_only_missed() -> None:
    others = changed(STATE, external=True)
    assert [fault.text for fault in faults([others], [WEB], [changed(BRIDGE, up=False), LINK], [])] == []
    assert [fault.text for fault in faults([others], [], [], [])] == ["is gone"]


def message(kind: int, body: bytes) -> bytes:
    return pack("IHHII", 16 + len(body), kind, 0, 0, 0) + body + b"\0" * (-len(body) % 4)


def test_names_are_read_out_of_messages() -> None:
    name = b"skvw\0"
    link = pack("BxHiII", 0, 0, 5, 0, 0) + pack("HH", 8, 4) + b"mtu!" + pack("HH", 4 + len(name), 3) + name
    assert names_in(message(17, link) + message(21, bytes(8))) == {"skvw", ""}
    assert names_in(b"") == set()


def test_the_shape_of_a_whole_table() -> None:
    ports = [PublishedPort("tcp", "", 8080, 80, "10.9.0.2", "")]
    wanted = shape([STATE], ports)
    assert (wanted["bridges"], wanted["closed"], wanted["any4"], wanted["at4"]) == (1, 0, 1, 0)
    assert table_text("t", "shop", [STATE], ports).count("chain ") == sum(
        name in wanted for name in ("guard", "translate", "prerouting", "output", "postrouting", "forward", "fence")
    )
    listed = [
        {"chain": {"name": "guard"}},
        {"rule": {"chain": "guard"}},
        {"set": {"name": "bridges", "elem": ["skb1"]}},
    ]
    assert shape_of(listed) == {"guard": 1, "bridges": 1}
    assert wanted["guard"] == 2
