"""The bridges of one project: made, opened, recognised as ours, deleted. ``manager`` decides when.

A bridge is ours by its ifalias, which also remembers how the machine forwarded packets before there was any.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace

from stackup.base.errors import PlanRefused
from stackup.network import links, sysctl
from stackup.network.address import mac_of
from stackup.network.links import Link, Rtnl
from stackup.network.request import Taken
from stackup.network.resolv import host_resolver
from stackup.network.sysctl import Forwarding
from stackup.network.types import NetworkState

ALIAS = "stackup"


class Bridges:
    """``identity``: the project's id. Every method is called under the manager's locks."""

    def __init__(self, project: str, identity: str) -> None:
        self._project = project
        self._id = identity

    def alias(self, state: NetworkState) -> str:
        return f"{ALIAS} {self._id} {state.forwarding or Forwarding().text} {self._project} {state.key}"

    def add(self, rtnl: Rtnl, state: NetworkState) -> None:
        rtnl.send(
            links.add_bridge(state.bridge, mac_of(state.gateway or state.gateway6), state.mtu),
            links.set_alias(state.bridge, self.alias(state)),
        )

    def open(self, rtnl: Rtnl, state: NetworkState) -> NetworkState:
        """Addresses, switches, up."""
        state = replace(state, ifindex=index_of(state.bridge))
        sysctl.prepare_bridge(state.bridge, ipv6=bool(state.subnet6), localhost=not state.internal)
        rtnl.send(
            *(links.add_address(state.ifindex, item) for item in own_addresses(state)), links.set_up(state.ifindex)
        )
        if not state.internal:
            sysctl.enable_forwarding(ipv6=bool(state.subnet6))
        return state

    def clear_the_way(self, rtnl: Rtnl, bridge: str, name: str, found: Sequence[Link]) -> None:
        """A bridge of ours under that name is what a crash left behind; one that is not ours is not touched."""
        link = next((link for link in found if link.name == bridge), None)
        if link is None:
            return
        if not self.is_mine(link):
            raise PlanRefused(f"cannot create network {name}: a link {bridge} exists and is not this stack's")
        self.delete(rtnl, [link], found)

    def taken(self, rtnl: Rtnl, found: Sequence[Link], without: str) -> Taken:
        by_index = {link.index: link.name for link in found}
        connected = [(subnet, by_index.get(index, f"link {index}")) for index, subnet in rtnl.addresses()]
        kept = tuple((subnet, link) for subnet, link in connected if link not in ("lo", without))
        return Taken(kept, tuple(rtnl.routes()), host_resolver().servers)

    def is_mine(self, link: Link) -> bool:
        return link.alias.startswith(f"{ALIAS} {self._id} ")

    def among(self, found: Sequence[Link]) -> list[Link]:
        """Those of this project."""
        return [link for link in found if self.is_mine(link) and is_bridge(link)]

    def delete(self, rtnl: Rtnl, bridges: Sequence[Link], found: Sequence[Link]) -> None:
        """Deletes ``bridges`` out of ``found``. With the last one of all, ip_forward is put back as it was: before it
        goes, because its ifalias is the only memory of that. While anything else here bridges, it stays on."""
        if not bridges:
            return
        gone = {link.index for link in bridges}
        if all(link.index in gone for link in found if is_bridge(link)):
            sysctl.restore_forwarding(_forwarding_of(bridges[0]))
        rtnl.send(*(links.delete_link(link.index) for link in bridges))


def own_addresses(state: NetworkState) -> list[str]:
    pairs = ((state.gateway, state.subnet), (state.gateway6, state.subnet6))
    return [f"{gateway}/{subnet.partition('/')[2]}" for gateway, subnet in pairs if gateway]


def index_of(bridge: str) -> int:
    return socket.if_nametoindex(bridge)


def is_bridge(link: Link) -> bool:
    return link.kind == "bridge"


def _forwarding_of(link: Link) -> Forwarding:
    words = link.alias.split(" ")
    return Forwarding.from_text(words[2]) if len(words) > 2 and words[0] == ALIAS else Forwarding()


def forwarding_before(found: Sequence[Link]) -> Forwarding:
    """As any bridge of any stack remembers it; as it is now, when this is the first."""
    for link in found:
        if is_bridge(link) and link.alias.startswith(f"{ALIAS} "):
            return _forwarding_of(link)
    return sysctl.forwarding_now()
