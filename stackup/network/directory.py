"""Who is called what, per network; and what one container sees of it. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from types import MappingProxyType

from stackup.base.values import frozen
from stackup.network.address import Network


@frozen
class Endpoint:
    """A container's presence in one network. ``names``: container name first, then service and aliases."""

    container_id: str
    network_id: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]


@frozen
class View:
    """What one container may ask. ``networks`` are ids in order of preference; ``upstreams`` are "IP" or "IP#PORT",
    empty where nothing may leave (internal networks only). ``links`` are names of its own for others' names."""

    networks: tuple[str, ...]
    upstreams: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Zone:
    """The names of one network."""

    def __init__(self, name: str, subnets: Iterable[str] = (), bridge: str = "") -> None:
        self.name = name.lower()
        self.bridge = bridge
        self.subnets: tuple[Network, ...] = tuple(ip_network(item) for item in subnets if item)
        self._names: dict[str, dict[str, tuple[str, ...]]] = {}  # name -> container id -> addresses
        self._reverse: dict[str, tuple[str, str]] = {}  # address -> (container id, container name)
        self._turn: dict[str, int] = {}

    def add(self, endpoint: Endpoint) -> None:
        self.remove(endpoint.container_id)
        for name in endpoint.names:
            self._names.setdefault(name.lower(), {})[endpoint.container_id] = endpoint.addresses
        for address in endpoint.addresses:
            if endpoint.names:
                self._reverse[str(ip_address(address))] = (endpoint.container_id, endpoint.names[0])

    def remove(self, container_id: str) -> None:
        for name in [name for name, holders in self._names.items() if container_id in holders]:
            del self._names[name][container_id]
            if not self._names[name]:
                del self._names[name]
                self._turn.pop(name, None)
        for address in [address for address, holder in self._reverse.items() if holder[0] == container_id]:
            del self._reverse[address]

    def lookup(self, name: str) -> tuple[str, ...] | None:
        """All addresses of a name, beginning with another replica each time; None when nobody is called so."""
        holders = self._names.get(name)
        if holders is None:
            return None
        sets = list(holders.values())
        if len(sets) == 1:
            return sets[0]
        turn = self._turn.get(name, 0) % len(sets)
        self._turn[name] = turn + 1
        return tuple(address for item in (*sets[turn:], *sets[:turn]) for address in item)

    def name_of(self, address: str) -> str | None:
        """``container.network``, as Docker answers reverse questions."""
        holder = self._reverse.get(address)
        return f"{holder[1]}.{self.name}" if holder else None

    def covers(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address.version == item.version and address in item for item in self.subnets)


class Directory:
    """All zones of a project. Names of networks that a view does not hold are invisible to it."""

    def __init__(self, elsewhere: Callable[[str, str], tuple[str, ...] | None] | None = None) -> None:
        """``elsewhere`` answers for containers of other stacks, given a network's bridge and a name."""
        self._zones: dict[str, Zone] = {}
        self._elsewhere = elsewhere

    def add_network(self, network_id: str, name: str, subnets: Sequence[str] = (), bridge: str = "") -> None:
        if network_id not in self._zones:
            self._zones[network_id] = Zone(name, subnets, bridge)

    def drop_network(self, network_id: str) -> None:
        self._zones.pop(network_id, None)

    def register(self, endpoint: Endpoint) -> None:
        self.add_network(endpoint.network_id, endpoint.network_id)
        self._zones[endpoint.network_id].add(endpoint)

    def unregister(self, container_id: str) -> None:
        for zone in self._zones.values():
            zone.remove(container_id)

    def lookup(self, view: View, name: str) -> tuple[str, ...] | None:
        """Addresses in the first network of the view that knows the name, bare or as ``name.network``."""
        name = view.links.get(name, name).lower()
        for zone in self._of(view):
            found = self._in_zone(zone, name)
            if found is None and name.endswith(f".{zone.name}"):
                found = self._in_zone(zone, name[: -len(zone.name) - 1])
            if found is not None:
                return found
        return None

    def _in_zone(self, zone: Zone, name: str) -> tuple[str, ...] | None:
        found = zone.lookup(name)
        if found is None and zone.bridge and self._elsewhere is not None:
            return self._elsewhere(zone.bridge, name)
        return found

    def name_of(self, view: View, address: IPv4Address | IPv6Address) -> str | None:
        return next((found for zone in self._of(view) if (found := zone.name_of(str(address)))), None)

    def is_ours(self, view: View, name: str) -> bool:
        """True for names that no server outside can know: those below one of the view's networks."""
        return any(name.endswith(f".{zone.name}") for zone in self._of(view))

    def covers(self, view: View, address: IPv4Address | IPv6Address) -> bool:
        return any(zone.covers(address) for zone in self._of(view))

    def _of(self, view: View) -> list[Zone]:
        return [self._zones[item] for item in view.networks if item in self._zones]
