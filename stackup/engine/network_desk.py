"""The engine's door to ``network``: one project's networks, and its containers' places and names in them, in the words
of containers. Their ports are ``network_ports``, what others do to all that is ``network_care``.

Blocking calls go to a worker thread; sockets and answers stay on the loop. Port reservations and DNS sockets are kept
by the launcher as well, so that they outlive this process.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Mapping
from typing import Any

from stackup.base.errors import Bug
from stackup.base.names import LINK_PREFIX
from stackup.base.paths import Layout
from stackup.base.values import changed
from stackup.engine.container import Container
from stackup.engine.network_care import NetworkCare
from stackup.engine.network_ports import PortDesk
from stackup.engine.records import Definition
from stackup.model.stack import Network
from stackup.network.directory import Endpoint, View
from stackup.network.dns import DnsServer
from stackup.network.mending import MendingManager
from stackup.network.resolv import host_resolver, upstreams
from stackup.network.standalone import Standalones
from stackup.network.types import Attachment, NetworkState, Wanted
from stackup.planner.hashing import config_hash, network_config
from stackup.runtime.bundle import Veth
from stackup.runtime.client import LauncherClient

Record = dict[str, Any]


class NetworkDesk:
    """One a project; every method is called from the supervisor's loop."""

    def __init__(self, project: str, layout: Layout, launcher: LauncherClient) -> None:
        loop = asyncio.get_running_loop()
        self._manager = MendingManager(layout, project)
        self._standalones = Standalones(layout)
        self._launcher = launcher
        self._dns = DnsServer(loop, neighbours=self._manager.neighbours())
        self._states: dict[str, NetworkState] = {}
        self._attachments: dict[str, tuple[Attachment, ...]] = {}
        self.ports = PortDesk(self._manager, launcher, self._attachments)
        self.care = NetworkCare(self._manager, self._standalones, self._states, self._attachments, self._know)

    # networks

    async def create_network(self, key: str, network: Network) -> Record:
        """Makes it (or looks up an external one); answers what is to be recorded."""
        config = network_config(network)
        digest = config_hash(config)
        if network.external:
            await asyncio.to_thread(self._standalones.ensure, network.name)
        state = await asyncio.to_thread(self._manager.create, key, network, digest)
        self._know(state)
        return {"state": state.to_dict(), "config_hash": digest, "config": config, "external": state.external}

    async def remove_network(self, key: str) -> None:
        state = self._states.pop(key, None)
        if state is not None:
            self._dns.drop_network(state.id)
            await asyncio.to_thread(self._manager.remove, state)

    def external_id(self, name: str) -> str | None:
        found = self._manager.find(name)
        return found.id if found else self._standalones.records.id_of(name)

    def joined(self, key: str, name: str) -> bool:
        """The external network of that name is known under this key, as it is now."""
        return key in self._states and self._states[key].id == self.external_id(name)

    async def leave(self, used: Collection[str]) -> list[str]:
        """Forgets external networks whose keys are not among ``used``; answers theirs."""
        found = [key for key, state in self._states.items() if state.external and key not in used]
        for key in found:
            await self.remove_network(key)
        return found

    def network_id(self, key: str) -> str:
        if key not in self._states:
            raise Bug(f"cannot attach to network {key}: it was not made")
        return self._states[key].id

    def _know(self, state: NetworkState) -> None:
        self._states[state.key] = state
        self._dns.add_network(state.id, state.name, (state.subnet, state.subnet6), state.bridge)

    # a container's start

    def attach(self, container: Container, incarnation: int) -> tuple[Record, ...]:
        """Leases addresses, names the links, and makes the container's names known."""
        endpoints = container.definition.endpoints
        if not endpoints:
            return ()
        places = [
            (self._state(item.network), Wanted(**dict(item.wanted, aliases=tuple(item.wanted.get("aliases", ())))))
            for item in endpoints
        ]
        known = container.names
        found = self._manager.attach_all(container.id, incarnation, places, known)
        self._attachments[container.id] = found
        self._register(container, found)
        return tuple(item.to_dict() for item in found)

    def _state(self, key: str) -> NetworkState:
        if key not in self._states:
            raise Bug(f"cannot attach to network {key}: it does not exist")
        return self._states[key]

    def _register(self, container: Container, attachments: tuple[Attachment, ...]) -> None:
        for item in attachments:
            names = dict.fromkeys((*container.names, *item.aliases, container.id[:12]))
            addresses = tuple(map(_bare, item.addresses))
            self._dns.register(Endpoint(container.id, item.network_id, tuple(names), addresses))

    def veths(self, container: Container) -> tuple[Veth, ...]:
        return tuple(
            Veth(
                host_name=item.host_name,
                container_name=item.container_name,
                bridge=item.bridge,
                mac=item.mac,
                addresses=item.addresses,
                gateway=",".join(filter(None, (item.gateway, item.gateway6))),
                alias=item.alias,
                group=item.group,
                mtu=item.mtu,
            )
            for item in self._attachments.get(container.id, ())
        )

    def addresses(self, container: Container) -> tuple[str, ...]:
        """Its addresses without prefix lengths, in the order of its interfaces."""
        found = self._attachments.get(container.id, ())
        return tuple(_bare(address) for item in found for address in item.addresses)

    def gateway(self, container: Container) -> str:
        """The host as the container sees it; what ``host-gateway`` stands for."""
        found = [self._states[item.network] for item in self._attachments.get(container.id, ())]
        return next((state.gateway or state.gateway6 for state in found if state.gateway or state.gateway6), "")

    def serve(self, container: Container, udp: int | None, tcp: int | None) -> None:
        """Answers the container's questions for names from now on; owns the sockets."""
        if udp is None and tcp is None:
            return
        found = self._attachments.get(container.id, ())
        outside = any(not self._states[item.network].internal for item in found if item.network in self._states)
        naming = container.definition.naming
        servers = upstreams(host_resolver(), naming.dns) if outside else ()
        view = View(tuple(item.network_id for item in found), servers, naming.links)
        self._dns.serve(container.id, udp, tcp, view)

    # a change in place

    def renamed(self, container: Container, definition: Definition) -> tuple[Record, ...]:
        """Its places in networks, with the aliases that ``definition`` gives it there."""
        aliases = {item.network: tuple(item.wanted.get("aliases", ())) for item in definition.endpoints}
        found = self._attachments.get(container.id, ())
        return tuple(changed(item, aliases=aliases.get(item.network, ())).to_dict() for item in found)

    async def rename(self, container: Container) -> None:
        """It is found by the names that its state has now."""
        found = tuple(Attachment.from_dict(item) for item in container.state.attachments)
        if container.id not in self._attachments or found == self._attachments[container.id]:
            return
        self._attachments[container.id] = found
        self._register(container, found)
        known = (container.name, container.service)
        await asyncio.to_thread(
            self._manager.rename, container.id, {item.bridge: (*known, *item.aliases) for item in found}
        )

    # a container's end

    async def detach(self, container: Container) -> None:
        """The container has ended: nobody finds it any more, its ports are free. Its addresses stay leased."""
        self._dns.stop(container.id)
        self._dns.unregister(container.id)
        self._attachments.pop(container.id, None)
        await self.ports.withdraw(container)

    async def release(self, container: Container) -> None:
        """The container goes away for good: its addresses are free."""
        if container.definition.endpoints:
            await asyncio.to_thread(self._manager.release, container.id)

    # recovery

    async def recover(self, networks: Mapping[str, Record], containers: list[Container]) -> dict[str, Record]:
        """Makes the recorded networks true again; answers the records of those that had to be made anew."""
        kept = await self._launcher.fetch()
        for container in containers:
            if container.may_run:
                attachments = tuple(Attachment.from_dict(item) for item in container.state.attachments)
                self._attachments[container.id] = attachments
                self._register(container, attachments)
                self.ports.resume(container, kept)
        await self.ports.drop(kept)
        states = [NetworkState.from_dict(record["state"]) for record in networks.values()]
        living = [item for found in self._attachments.values() for item in found]
        ports = self.ports.wanted()
        if not states and not any(name.startswith(LINK_PREFIX) for _, name in socket.if_nameindex()):
            return {}  # and nothing that a predecessor made without having had the time to record it
        for state in states:
            if state.external:
                await asyncio.to_thread(self._standalones.ensure, state.name)
        current = await asyncio.to_thread(self._manager.recover, states, living, ports)
        self.ports.shown(ports)
        anew: dict[str, Record] = {}
        for before, now in zip(states, current, strict=True):
            self._know(now)
            if before != now:
                anew[now.key] = {**networks[now.key], "state": now.to_dict()}
        return anew

    async def purge(self) -> None:
        """There are no records: what the kernel still has of this project goes away."""
        await asyncio.to_thread(self._manager.purge)

    async def close(self) -> None:
        self.care.close()
        self.ports.close()
        self._dns.close()


def _bare(address: str) -> str:
    """Without its prefix length."""
    return address.partition("/")[0]
