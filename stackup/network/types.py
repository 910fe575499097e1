"""Values that cross this package's border. Frozen, and plain enough to be recorded as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_interface
from typing import Any

from stackup.base.values import as_mapping, frozen


@frozen
class NetworkState:
    """A network that exists. ``id`` is new at every creation, so a container can tell that its network was replaced.

    ``subnet``/``gateway`` are empty without IPv4, ``subnet6``/``gateway6`` without IPv6; gateways carry no prefix
    length. ``group`` is the kernel's link group of all veths of the project: one message deletes them all. ``owner``
    is the project that made the network; an external network keeps its owner's. ``pooled``: the IPv4 subnet was taken
    from the pools, so another would do as well.
    """

    key: str
    name: str
    id: str
    owner: str
    bridge: str
    ifindex: int
    group: int
    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    reserved: tuple[str, ...] = ()
    pooled: bool = True
    subnet6: str = ""
    gateway6: str = ""
    internal: bool = False
    mtu: int = 0
    masquerade: bool = True
    talk: bool = True  # containers of this network may reach each other
    external: bool = False
    config_hash: str = ""
    forwarding: str = (
        ""  # the machine's switches before any stack came, as when the bridge was made (sysctl.Forwarding)
    )

    def to_dict(self) -> dict[str, Any]:
        return as_mapping(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NetworkState:
        return cls(**{**data, "reserved": tuple(data.get("reserved", ()))})


@frozen
class Wanted:
    """What the stack file asks for one container's place in one network; empty fields are chosen."""

    address: str = ""
    address6: str = ""
    mac: str = ""
    interface: str = ""
    aliases: tuple[str, ...] = ()
    priority: int = 0
    gw_priority: int = 0


@frozen
class Attachment:
    """One container's place in one network: all that the runtime's ``Veth`` needs, and the names it answers to.

    ``host_name`` is new for every incarnation; ``address`` and ``mac`` stay the same until ``release``. ``addresses``
    are ``ip/length`` as the runtime wants them. ``gateway`` and ``gateway6`` are empty unless this is the interface
    that the container's default route goes through.
    """

    container_id: str
    network: str
    network_id: str
    bridge: str
    host_name: str
    container_name: str
    mac: str
    addresses: tuple[str, ...]
    gateway: str
    gateway6: str
    alias: str
    group: int
    mtu: int = 0
    aliases: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """IPv4 without prefix length; empty without IPv4."""
        return self._first(4)

    @property
    def address6(self) -> str:
        return self._first(6)

    @property
    def gateways(self) -> str:
        """Both gateways as the runtime's ``Veth.gateway`` wants them."""
        return ",".join(item for item in (self.gateway, self.gateway6) if item)

    def _first(self, version: int) -> str:
        found = (str(item.ip) for item in map(ip_interface, self.addresses) if item.version == version)
        return next(found, "")

    def to_dict(self) -> dict[str, Any]:
        return as_mapping(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Attachment:
        fixed = {"addresses": tuple(data["addresses"]), "aliases": tuple(data.get("aliases", ()))}
        return cls(**{**data, **fixed})


@frozen
class PortBinding:
    """A port to publish, as the stack file says it. ``host_port`` is "", "8080" or "8000-8010" (a free one of these).

    ``host_ip`` empty: every address of the host, IPv4 and IPv6.
    """

    container_port: int
    host_port: str = ""
    protocol: str = "tcp"
    host_ip: str = ""

    def __str__(self) -> str:
        host = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        left = ":".join(part for part in (host, self.host_port) if part)
        return f"{left}:{self.container_port}/{self.protocol}" if left else f"{self.container_port}/{self.protocol}"


@frozen
class PublishedPort:
    """A reserved host port and the container behind it. ``holder`` (the container's name) is shown to whoever
    wants the same port; ``address6`` empty: IPv6 clients are relayed in user space to ``address``."""

    protocol: str
    host_ip: str
    host_port: int
    container_port: int
    address: str
    address6: str = ""
    holder: str = ""

    def to_dict(self) -> dict[str, Any]:
        return as_mapping(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PublishedPort:
        return cls(**data)
