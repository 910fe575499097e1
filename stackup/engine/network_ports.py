"""The host ports of one project's containers: reserved, published, changed in place, given back.

A reservation is a bound socket that the launcher keeps as well, so that it outlives this process. Called by
``network_desk``, on the supervisor's loop; the firewall is told in a worker thread.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict

from stackup.base import log
from stackup.base.errors import PlanRefused, StackupError
from stackup.engine.container import Container
from stackup.engine.records import Definition, PortRecord
from stackup.network.manager import NetworkManager
from stackup.network.ports import Reservation, reserve
from stackup.network.relay import Relay
from stackup.network.types import Attachment, PortBinding, PublishedPort
from stackup.runtime.client import LauncherClient

PORT_PREFIX = "port"
GIVEN_BACK = 1.0  # seconds in which a port that was given back may still be held
AGAIN = 0.01


class PortDesk:
    """``attachments``: of running containers by id, as the network desk has them."""

    def __init__(
        self, manager: NetworkManager, launcher: LauncherClient, attachments: dict[str, tuple[Attachment, ...]]
    ) -> None:
        self._manager = manager
        self._launcher = launcher
        self._attachments = attachments
        self._relay = Relay(asyncio.get_running_loop())
        self._reservations: dict[str, list[Reservation]] = {}
        self._coming: dict[str, list[Reservation]] = {}  # of containers whose ports are being changed
        self._published: dict[str, list[PublishedPort]] = {}
        self._shown: set[PublishedPort] = set()
        self._given_back: dict[tuple[str, str], float] = {}  # when, by protocol and host port
        self._publishing = asyncio.Lock()

    async def reserve(self, definition: Definition) -> tuple[PortRecord, ...]:
        """Takes the host ports; answers them with the numbers that were chosen. Raises PlanRefused, nothing held."""
        if not definition.ports:
            return ()
        taken: list[Reservation] = []
        self._reservations[definition.id] = taken
        try:
            for port in definition.ports:
                taken.append(await self._reserved(_binding(port)))
        except BaseException as error:
            if isinstance(error, StackupError):
                error.about = error.about or f".ports.{len(taken)}"
            self._close_reservations(definition.id)
            raise
        for number, item in enumerate(taken):
            for family, sock in enumerate(item.sockets):
                await self._launcher.store(_port_name(definition.id, number, item.host_port, family), sock.fileno())
        return tuple(_bound(port, item.host_port) for port, item in zip(definition.ports, taken, strict=True))

    async def _reserved(self, binding: PortBinding) -> Reservation:
        """A port that was just given back may be held a moment longer: the launcher forks, and a copy of itself that is
        about to become another container has the socket until then."""
        deadline = time.monotonic() + GIVEN_BACK
        while True:
            try:
                return reserve(binding)
            except PlanRefused:
                given_back = self._given_back.get((binding.protocol, binding.host_port), 0.0)
                if time.monotonic() > min(deadline, given_back + GIVEN_BACK):
                    raise
            await asyncio.sleep(AGAIN)

    async def publish(self, container: Container | None = None) -> None:
        """Makes the kernel's map of published ports what it should be; with ``container``, after its ports came."""
        if container is not None and container.state.host_ports:
            self._note_ports(container)
        async with self._publishing:
            wanted = self.wanted()
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

    def wanted(self) -> list[PublishedPort]:
        return [port for ports in self._published.values() for port in ports]

    def shown(self, ports: Collection[PublishedPort]) -> None:
        """The kernel's map has been made these."""
        self._shown = set(ports)

    async def take(self, container: Container, ports: Sequence[PortRecord]) -> tuple[PortRecord, ...]:
        """Takes what is new of ``ports`` beside what the running container has; answers all of them with their numbers.
        Settled by ``settle``, once that is recorded. Raises PlanRefused, and nothing has changed."""
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

    async def settle(self, container: Container) -> None:
        """What ``take`` took is what the container has; the rest is given back."""
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

    async def withdraw(self, container: Container) -> None:
        """The container has ended: its ports are free."""
        for port in self._published.pop(container.id, ()):
            self._relay.stop(port)
        await self.publish()
        await self._give_back(container.id)

    async def _give_back(self, container_id: str) -> None:
        for number, item in enumerate(self._reservations.get(container_id, ())):
            for family in range(len(item.sockets)):
                await self._launcher.unstore(_port_name(container_id, number, item.host_port, family))
        self._close_reservations(container_id)

    def _close_reservations(self, container_id: str) -> None:
        now = time.monotonic()
        self._given_back = {place: at for place, at in self._given_back.items() if now - at < GIVEN_BACK}
        for item in self._reservations.pop(container_id, ()):
            item.close()
            self._given_back[item.binding.protocol, str(item.host_port)] = now

    def resume(self, container: Container, kept: dict[str, int]) -> None:
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

    async def drop(self, kept: dict[str, int]) -> None:
        """Of containers that have ended: the predecessor had no time to give them back."""
        for name, fd in kept.items():
            await self._launcher.unstore(name)
            os.close(fd)

    def close(self) -> None:
        self._relay.close()


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
