"""What somebody took away from a network under running containers, and how it is put back without a restart.

``faults`` is pure: what should be and what the kernel has, to what is wrong. ``MendingManager`` makes it right.
"""

from __future__ import annotations

import select
from collections.abc import Iterable, Sequence
from contextlib import closing
from ipaddress import ip_network

from stackup.base.errors import HostUnfit
from stackup.base.values import changed, frozen
from stackup.network import links
from stackup.network.address import Network
from stackup.network.bridges import own_addresses
from stackup.network.links import Link, LinkError, Request, Rtnl
from stackup.network.manager import NetworkManager
from stackup.network.types import Attachment, NetworkState


@frozen
class Fault:
    """``container_id`` is empty when the bridge itself is at fault. ``link`` is what is at fault, ``text`` says how."""

    network: str
    container_id: str
    link: str
    text: str


def faults(
    states: Iterable[NetworkState],
    attachments: Iterable[Attachment],
    found: Sequence[Link],
    addresses: Iterable[tuple[int, Network]],
) -> tuple[Fault, ...]:
    """``attachments`` of running containers, ``found`` the host's links, ``addresses`` the subnets by link index."""
    by_name = {link.name: link for link in found}
    held = set(addresses)
    wrong = []
    for state in states:
        text = _bridge_fault(state, by_name.get(state.bridge), held)
        if text:
            wrong.append(Fault(state.key, "", state.bridge, text))
    for item in attachments:
        link, bridge = by_name.get(item.host_name), by_name.get(item.bridge)
        if link is None:
            text = "is gone"
        elif link.master != (bridge.index if bridge else -1):
            text = "is not in its bridge"
        else:
            text = "" if link.up else "is down"
        if text:
            wrong.append(Fault(item.network, item.container_id, item.host_name, text))
    return tuple(wrong)


def _bridge_fault(state: NetworkState, link: Link | None, held: set[tuple[int, Network]]) -> str:
    if link is None:
        return "is gone"
    if state.external:
        return ""  # its owner looks after it
    if not link.up:
        return "is down"
    own = [ip_network(subnet) for subnet in (state.subnet, state.subnet6) if subnet]
    lost = [str(subnet) for subnet in own if (link.index, subnet) not in held]
    return f"has lost its address in {', '.join(lost)}" if lost else ""


class MendingManager(NetworkManager):
    """A manager of networks in which containers run."""

    def look(self, states: Iterable[NetworkState], attachments: Iterable[Attachment]) -> tuple[Fault, ...]:
        """What is wrong with bridges, and with the links of ``attachments``, whose containers run."""
        with Rtnl() as rtnl:
            return faults(states, attachments, rtnl.links(), rtnl.addresses())

    def remake(self, state: NetworkState) -> NetworkState | None:
        """A bridge that somebody took away, or took its addresses from, as it was. None: the network was removed."""
        with self._session(f"make network {state.name} anew") as rtnl:
            if self._books.read(state.bridge) is None:
                return None
            found = rtnl.links()
            link = next((link for link in found if link.name == state.bridge), None)
            if link is None:
                self._bridges.add(rtnl, state)
                return self._bridges.open(rtnl, state)
            addresses = (links.add_address(link.index, address) for address in own_addresses(state))
            rtnl.send(links.set_up(link.index), *addresses)
            return changed(state, ifindex=link.index)

    def reconnect(self, attachments: Iterable[Attachment], pid: int, pidfd: int) -> None:
        """The links of one running container as they were, without a restart. Raises HostUnfit."""
        with self._session("connect a container again") as rtnl:
            found = {link.name: link for link in rtnl.links()}
            for item in attachments:
                bridge, link = found.get(item.bridge), found.get(item.host_name)
                if bridge is None:
                    raise HostUnfit(f"cannot connect a container again: there is no link {item.bridge}")
                if link is not None:
                    join(rtnl, link, bridge)
                elif is_alive(pidfd):
                    relink(item, bridge, pid, pidfd)
                self._places.unsettle(item.host_name)
            self._places.settle(rtnl, self._table.published(), self._table.silent())


def join(rtnl: Rtnl, link: Link, bridge: Link) -> None:
    """A container's link that is there: into its bridge, and up."""
    requests: list[Request] = []
    if link.master != bridge.index:
        requests.append(links.set_master(link.index, bridge.index))
    rtnl.send(*requests, links.set_up(link.index))


def relink(item: Attachment, bridge: Link, pid: int, pidfd: int) -> None:
    """Makes the pair anew: the same addresses and MAC, so that connections go on. Raises LinkError."""
    from stackup.linux.inside import link_index, netlink_in  # seldom needed
    from stackup.linux.netlink import Batch, open_socket

    step = f"connect {item.container_name} to {item.bridge}"
    try:
        with closing(open_socket()) as host, closing(netlink_in(pidfd)) as inside:
            outside = Batch()
            outside.add_veth(
                item.host_name,
                bridge.index,
                item.container_name,
                pid,
                mac=item.mac,
                group=item.group,
                mtu=item.mtu,
            )
            if item.alias:
                outside.set_alias(item.host_name, item.alias)
            outside.send(host)
            index = link_index(inside, item.container_name)
            batch = Batch()
            if not any(":" in address for address in item.addresses):
                batch.set_no_link_local(index)
            for address in item.addresses:
                batch.add_address(index, address)
            batch.set_up(index)
            for gateway in filter(None, (item.gateway, item.gateway6)):
                batch.add_gateway(index, gateway)
            batch.send(inside)
    except OSError as error:
        raise LinkError(error.errno or 0, f"{step}: {error}") from error


def is_alive(pidfd: int) -> bool:
    """Whether the process has not ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return pidfd >= 0 and not poll.poll(0)
