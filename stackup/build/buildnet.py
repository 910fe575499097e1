"""The network of one build: a bridge of its own with addresses, NAT and names, as a stack's network has them.

Made at the first RUN that wants it, taken away with the build. ``host`` and ``none`` need nothing of this.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_interface

from stackup.base.paths import Layout
from stackup.model.stack import Network
from stackup.network.directory import View
from stackup.network.dns import DnsServer
from stackup.network.manager import NetworkManager
from stackup.network.resolv import host_resolver, upstreams
from stackup.network.types import Attachment, NetworkState, Wanted
from stackup.runtime.bundle import Veth

_KEY = "default"


class BuildNetwork:
    """``owner`` is a project name that no stack can have. Used inside the build's event loop."""

    def __init__(self, layout: Layout, owner: str) -> None:
        self._manager = NetworkManager(layout, owner)
        self._owner = owner
        self._state: NetworkState | None = None
        self._dns: DnsServer | None = None

    async def attach(self, container_id: str) -> Attachment:
        if self._state is None:
            # Ours, not a user's: it needs no validator, which takes long to be built.
            network = Network.model_construct(name=f"{self._owner}_{_KEY}")
            self._state = await asyncio.to_thread(self._manager.create, _KEY, network)
            self._dns = DnsServer(asyncio.get_running_loop())
            self._dns.add_network(self._state.id, self._state.name, (self._state.subnet, self._state.subnet6))
        places = [(self._state, Wanted())]
        (attachment,) = await asyncio.to_thread(self._manager.attach_all, container_id, 1, places)
        return attachment

    def serve(self, container_id: str, udp: int | None, tcp: int | None) -> None:
        """Answers names for the container; owns the sockets."""
        if self._dns is not None and self._state is not None:
            self._dns.serve(container_id, udp, tcp, View((self._state.id,), upstreams(host_resolver(), ())))

    async def detach(self, container_id: str) -> None:
        if self._dns is not None:
            self._dns.stop(container_id)
        await asyncio.to_thread(self._manager.release, container_id)

    async def close(self) -> None:
        if self._dns is not None:
            self._dns.close()
            self._dns = None
        if self._state is not None:
            state, self._state = self._state, None
            await asyncio.to_thread(self._manager.sweep)
            await asyncio.to_thread(self._manager.remove, state)


def purge(layout: Layout, owner: str) -> None:
    """Removes what a killed build left in the kernel."""
    NetworkManager(layout, owner).purge()


def veth(attachment: Attachment) -> Veth:
    return Veth(
        host_name=attachment.host_name,
        container_name=attachment.container_name,
        bridge=attachment.bridge,
        mac=attachment.mac,
        addresses=attachment.addresses,
        gateway=attachment.gateways,
        alias=attachment.alias,
        group=attachment.group,
        mtu=attachment.mtu,
    )


def address_of(attachment: Attachment) -> str:
    return next((str(ip_interface(item).ip) for item in attachment.addresses), "")
