"""The engine's door to ``network``: everything about one project's networks, in the words of containers.

Blocking calls go to a worker thread; sockets and answers stay on the loop. Port reservations and DNS sockets are kept
by the launcher as well, so that they outlive this process.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stackup.base import log
from stackup.base.errors import Bug, HostUnfit, StackupError
from stackup.base.names import LINK_PREFIX
from stackup.base.paths import Layout
from stackup.base.values import changed
from stackup.engine.container import Container
from stackup.engine.records import Definition, PortRecord
from stackup.model.stack import Network
from stackup.network.directory import Endpoint, View
from stackup.network.dns import DnsServer
from stackup.network.linkwatch import LinkWatch
from stackup.network.mending import Fault, MendingManager
from stackup.network.ports import Reservation, reserve
from stackup.network.relay import Relay
from stackup.network.resolv import host_resolver, upstreams
from stackup.network.standalone import Standalones
from stackup.network.types import Attachment, NetworkState, PortBinding, PublishedPort, Wanted
from stackup.network.watch import FirewallWatch
from stackup.planner.hashing import config_hash, network_config
from stackup.runtime.bundle import Veth
from stackup.runtime.client import LauncherClient

PORT_PREFIX = "port"
Record = dict[str, Any]


class NetworkDesk:
    """One a project; every method is called from the supervisor's loop."""

    def __init__(self, project: str, layout: Layout, launcher: LauncherClient) -> None:
        loop = asyncio.get_running_loop()
        self._manager = MendingManager(layout, project)
        self._standalones = Standalones(layout)
        self._launcher = launcher
        self._dns = DnsServer(loop, neighbours=self._manager.neighbours())
        self._relay = Relay(loop)
        self._states: dict[str, NetworkState] = {}
        self._attachments: dict[str, tuple[Attachment, ...]] = {}
        self._reservations: dict[str, list[Reservation]] = {}
        self._coming: dict[str, list[Reservation]] = {}  # of containers whose ports are being changed
        self._published: dict[str, list[PublishedPort]] = {}
        self._shown: set[PublishedPort] = set()
        self._publishing = asyncio.Lock()
        self._watch = FirewallWatch(loop, self._firewall_changed)
        self._check: asyncio.Task[None] | None = None
        self._links: LinkWatch | None = None
        self.on_put_back: Callable[[str], object] = log.note  # told what somebody had taken from the firewall

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

    async def reserve(self, definition: Definition) -> tuple[PortRecord, ...]:
        """Takes the host ports; answers them with the numbers that were chosen. Raises PlanRefused, nothing held."""
        if not definition.ports:
            return ()
        taken: list[Reservation] = []
        self._reservations[definition.id] = taken
        try:
            for port in definition.ports:
                taken.append(reserve(_binding(port)))
        except BaseException as error:
            if isinstance(error, StackupError):
                error.about = error.about or f".ports.{len(taken)}"
            self._close_reservations(definition.id)
            raise
        for number, item in enumerate(taken):
            for family, sock in enumerate(item.sockets):
                await self._launcher.store(_port_name(definition.id, number, item.host_port, family), sock.fileno())
        return tuple(_bound(port, item.host_port) for port, item in zip(definition.ports, taken, strict=True))

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

    async def publish(self, container: Container | None = None) -> None:
        """Makes the kernel's map of published ports what it should be; with ``container``, after its ports came."""
        if container is not None and container.state.host_ports:
            self._note_ports(container)
        async with self._publishing:
            wanted = [port for ports in self._published.values() for port in ports]
            if set(wanted) != self._shown:
                await asyncio.to_thread(self._manager.publish, wanted)
                self._shown = set(wanted)

    def _note_ports(self, container: Container, known: Collection[PublishedPort] = ()) -> None:
        """``known`` are served already."""
        found = self._attachments.get(container.id, ())
        address = next((item.address for item in found if item.address), "")
        address6 = next((item.address6 for item in found if item.address6), "")
        ports = [
            PublishedPort(
                port.protocol, port.host_ip, int(port.host_port), port.container_port, address, address6, container.name
            )
            for port in container.state.host_ports
        ]
        self._published[container.id] = ports
        for port, reservation in zip(ports, self._reservations.get(container.id, ()), strict=False):
            if reservation.relayed and port not in known:  # with IPv6 in the container, only ::1 still comes this way
                self._relay.serve(port, reservation.relayed)

    # a change in place

    async def take_ports(self, container: Container, ports: Sequence[PortRecord]) -> tuple[PortRecord, ...]:
        """Takes what is new of ``ports`` beside what the running container has; answers all of them with their numbers.
        Settled by ``settle_ports``, once that is recorded. Raises PlanRefused, and nothing has changed."""
        held = dict(
            zip(map(_place, container.definition.ports), self._reservations.get(container.id, ()), strict=False)
        )
        found: list[Reservation] = []
        fresh: list[Reservation] = []
        try:
            for number, port in enumerate(ports):
                item = held.get(_place(port))
                if item is None:
                    item = reserve(_binding(port))
                    fresh.append(item)
                found.append(item)
                for family, sock in enumerate(item.sockets):
                    name = _port_name(container.id, number, item.host_port, family)
                    await self._launcher.store(name, sock.fileno())
        except BaseException:
            for number, item in enumerate(found):
                for family in range(len(item.sockets) if item in fresh else 0):
                    await self._launcher.unstore(_stored_name(container.id, number, item, family))
            for item in fresh:
                item.close()
            raise
        self._coming[container.id] = found
        return tuple(_bound(port, item.host_port) for port, item in zip(ports, found, strict=True))

    async def settle_ports(self, container: Container) -> None:
        """What ``take_ports`` took is what the container has; the rest is given back."""
        before, now = self._reservations.get(container.id, []), self._coming.pop(container.id, [])
        self._reservations[container.id] = now
        shown = self._published.pop(container.id, [])
        self._note_ports(container, shown)
        published = self._published.get(container.id, [])
        for port in shown:
            if all(
                (item.protocol, item.host_ip, item.host_port) != (port.protocol, port.host_ip, port.host_port)
                for item in published
            ):
                self._relay.stop(port)
        await self.publish()
        kept = {
            _stored_name(container.id, number, item, family) for number, item in enumerate(now) for family in range(2)
        }
        for number, item in enumerate(before):
            for family in range(len(item.sockets)):
                name = _stored_name(container.id, number, item, family)
                if name not in kept:
                    await self._launcher.unstore(name)
            if not any(item is other for other in now):
                item.close()

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
        for port in self._published.pop(container.id, ()):
            self._relay.stop(port)
        await self.publish()
        await self._give_ports_back(container.id)

    async def _give_ports_back(self, container_id: str) -> None:
        for number, item in enumerate(self._reservations.get(container_id, ())):
            for family in range(len(item.sockets)):
                await self._launcher.unstore(_port_name(container_id, number, item.host_port, family))
        self._close_reservations(container_id)

    def _close_reservations(self, container_id: str) -> None:
        for item in self._reservations.pop(container_id, ()):
            item.close()

    async def release(self, container: Container) -> None:
        """The container goes away for good: its addresses are free."""
        if container.definition.endpoints:
            await asyncio.to_thread(self._manager.release, container.id)

    # what others do to it

    def watch_links(self, lost: Callable[[set[str]], object]) -> None:
        """``lost`` is called with the names of links that are gone or down, whosever they are."""
        self._links = LinkWatch(asyncio.get_running_loop(), lost)

    def link_names(self, containers: Iterable[Container]) -> set[str]:
        """Bridges, and the host's ends of the links of ``containers``."""
        found = {state.bridge for state in self._states.values()}
        return found.union(item.host_name for place in containers for item in self._attachments.get(place.id, ()))

    def network_names(self) -> dict[str, str]:
        """Key -> full name."""
        return {key: state.name for key, state in self._states.items()}

    async def look(self, containers: Iterable[Container]) -> tuple[Fault, ...]:
        """What is wrong with the networks, and with the links of ``containers``, which run."""
        places = [item for container in containers for item in self._attachments.get(container.id, ())]
        return await asyncio.to_thread(self._manager.look, list(self._states.values()), places)

    async def remake(self, key: str) -> Record | None:
        """Makes the bridge of a network anew; answers the state to be recorded, None when it was removed meanwhile."""
        before = self._states.get(key)
        if before is not None and before.external:
            await self._found_again(before)
            return None
        state = await asyncio.to_thread(self._manager.remake, before) if before is not None else None
        if before is None or state is None or self._states.get(key) is not before:
            return None
        self._know(state)
        return state.to_dict()

    async def _found_again(self, state: NetworkState) -> None:
        """An external network is made anew by the stack that it belongs to, or here where it belongs to none."""
        await asyncio.to_thread(self._standalones.ensure, state.name)
        if all(name != state.bridge for _, name in socket.if_nameindex()):
            raise HostUnfit(f"cannot restore network {state.name}: the stack that it belongs to has not done so yet")

    async def reconnect(self, container: Container) -> None:
        """Puts back the links of a running container; the container runs on. Raises StackupError."""
        places = self._attachments.get(container.id, ())
        await asyncio.to_thread(self._manager.reconnect, places, container.state.pid, container.pidfd)

    # recovery

    async def recover(self, networks: Mapping[str, Record], containers: list[Container]) -> dict[str, Record]:
        """Makes the recorded networks true again; answers the records of those that had to be made anew."""
        kept = await self._launcher.fetch()
        for container in containers:
            if container.may_run:
                attachments = tuple(Attachment.from_dict(item) for item in container.state.attachments)
                self._attachments[container.id] = attachments
                self._register(container, attachments)
                self._resume_ports(container, kept)
        for name, fd in kept.items():  # of containers that have ended: the predecessor had no time to give them back
            await self._launcher.unstore(name)
            os.close(fd)
        states = [NetworkState.from_dict(record["state"]) for record in networks.values()]
        living = [item for found in self._attachments.values() for item in found]
        ports = [port for found in self._published.values() for port in found]
        if not states and not any(name.startswith(LINK_PREFIX) for _, name in socket.if_nameindex()):
            return {}  # and nothing that a predecessor made without having had the time to record it
        for state in states:
            if state.external:
                await asyncio.to_thread(self._standalones.ensure, state.name)
        current = await asyncio.to_thread(self._manager.recover, states, living, ports)
        self._shown = set(ports)
        anew: dict[str, Record] = {}
        for before, now in zip(states, current, strict=True):
            self._know(now)
            if before != now:
                anew[now.key] = {**networks[now.key], "state": now.to_dict()}
        return anew

    async def purge(self) -> None:
        """There are no records: what the kernel still has of this project goes away."""
        await asyncio.to_thread(self._manager.purge)

    def _resume_ports(self, container: Container, kept: dict[str, int]) -> None:
        """Reservations that the launcher kept; those that nobody kept are taken anew where that is still possible."""
        if not container.state.host_ports:
            return
        found: list[Reservation] = []
        for number, port in enumerate(container.state.host_ports):
            names = [_port_name(container.id, number, int(port.host_port), family) for family in range(2)]
            fds = [kept.pop(name) for name in names if name in kept]
            binding = _binding(port)
            if fds:
                found.append(Reservation(binding, int(port.host_port), tuple(socket.socket(fileno=fd) for fd in fds)))
            else:
                try:
                    found.append(reserve(binding))
                except StackupError as error:  # somebody took it while nobody was here
                    log.note(f"{container.name}: {error.message}")
        self._reservations[container.id] = found
        self._note_ports(container)

    def _firewall_changed(self) -> None:
        if self._states and (self._check is None or self._check.done()):
            self._check = asyncio.create_task(self._verify())

    async def _verify(self) -> None:
        """Puts back what somebody else flushed."""
        try:
            for text in await asyncio.to_thread(self._put_back):
                self.on_put_back(text)
        except StackupError as error:
            log.note(error.message)

    def _put_back(self) -> list[str]:
        others = [state.name for state in self._states.values() if state.external]
        return [*self._manager.verify(), *(text for name in others for text in self._standalones.verify(name))]

    async def close(self) -> None:
        self._watch.close()
        if self._links is not None:
            self._links.close()
        self._relay.close()
        self._dns.close()


def _binding(port: PortRecord) -> PortBinding:
    return PortBinding(port.container_port, port.host_port, port.protocol, port.host_ip)


def _place(port: PortRecord) -> tuple[str, str, str, int]:
    """Two ports of one place can have the same reservation."""
    return port.protocol, port.host_ip, port.host_port, 0 if port.host_port else port.container_port


def _bound(port: PortRecord, number: int) -> PortRecord:
    return PortRecord(**{**asdict(port), "host_port": str(number)})


def _port_name(container_id: str, number: int, host_port: int, family: int) -> str:
    return f"{PORT_PREFIX}/{container_id}/{number}/{host_port}/{family}"


def _stored_name(container_id: str, number: int, item: Reservation, family: int) -> str:
    return _port_name(container_id, number, item.host_port, family)


def _bare(address: str) -> str:
    """Without its prefix length."""
    return address.partition("/")[0]
