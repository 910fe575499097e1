"""From the stack file's network to what will be made: options read, subnets checked or chosen. No effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Network, ip_address, ip_network
from typing import TYPE_CHECKING

from stackup.base import names
from stackup.base.errors import HostUnfit, PlanRefused, StackFileError
from stackup.base.values import frozen
from stackup.network.address import Network, Pool, choose_subnet, gateway_of, inside, parse_network, unique_local
from stackup.network.types import NetworkState

if TYPE_CHECKING:
    from stackup.model.resources import IpamPool
    from stackup.model.resources import Network as WantedNetwork

_OPTION = "com.docker.network"
_TRUE = ("", "true", "1", "yes")


@frozen
class Subnets:
    """What a network will use; empty strings without that family."""

    subnet: str
    gateway: str
    ip_range: str
    reserved: tuple[str, ...]
    subnet6: str
    gateway6: str
    pooled: bool


@frozen
class Options:
    bridge: str
    mtu: int
    masquerade: bool
    talk: bool


@frozen
class Taken:
    """What the host uses already. ``connected`` are the subnets of its links (with the link's name), ``routed`` all
    other destinations it knows a way to, ``servers`` its name servers."""

    connected: tuple[tuple[Network, str], ...]
    routed: tuple[Network, ...]
    servers: tuple[str, ...] = ()

    def all(self) -> list[Network]:
        servers = [ip_network(item) for item in self.servers if "%" not in item]
        return [*(item for item, _ in self.connected), *self.routed, *servers]


def read_options(project: str, root: str, key: str, network: WantedNetwork) -> Options:
    """Raises StackFileError for a driver or an option that cannot be honoured."""
    if network.driver not in (None, "", "default", "bridge"):
        raise StackFileError(
            f"cannot create network {network.name}: driver {network.driver!r} is not supported",
            hint="leave `driver` out, or use `driver: bridge`",
        )
    options = network.driver_opts
    bridge = str(options.get(f"{_OPTION}.bridge.name", "")) or names.bridge_name(project, key, root)
    if len(bridge.encode()) > 15 or "/" in bridge:
        raise StackFileError(f"cannot create network {network.name}: {bridge!r} is no link name (at most 15 bytes)")
    mtu = str(options.get(f"{_OPTION}.driver.mtu", "0"))
    if not mtu.isdigit():
        raise StackFileError(f"cannot create network {network.name}: {mtu!r} is no MTU")
    return Options(
        bridge,
        int(mtu),
        str(options.get(f"{_OPTION}.bridge.enable_ip_masquerade", "")).lower() in _TRUE,
        str(options.get(f"{_OPTION}.bridge.enable_icc", "")).lower() in _TRUE,
    )


def choose_subnets(identity: str, network: WantedNetwork, taken: Taken, pools: Sequence[Pool]) -> Subnets:
    """Takes what the stack file gives and fills in the rest. Raises StackFileError or PlanRefused in words."""
    given4, given6 = _given(network, 4), _given(network, 6)
    want4 = network.enable_ipv4 is not False
    want6 = bool(network.enable_ipv6) or given6 is not None
    if not want4 and not want6:
        raise StackFileError(f"cannot create network {network.name}: neither IPv4 nor IPv6 is enabled")
    subnet = gateway = ip_range = subnet6 = gateway6 = ""
    if want4:
        subnet = _subnet4(network.name, given4, taken, pools)
        gateway = _gateway(network.name, given4, subnet)
        ip_range = _ip_range(network.name, given4, subnet)
    if want6:
        subnet6 = (
            _checked(network.name, given6.subnet, taken) if given6 and given6.subnet else str(unique_local(identity))
        )
        gateway6 = _gateway(network.name, given6, subnet6)
    reserved = tuple(given4.aux_addresses.values()) if given4 else ()
    return Subnets(subnet, gateway, ip_range, reserved, subnet6, gateway6, not (given4 and given4.subnet))


def rechosen(state: NetworkState, taken: Taken, pools: Sequence[Pool]) -> NetworkState:
    """``state`` with a subnet that is free now: its own, or another from the pools when it came from there.

    Raises PlanRefused when the stack file asked for this very subnet, HostUnfit when the pools are used up.
    """
    if state.subnet6:
        _checked(state.name, state.subnet6, taken)
    if not state.subnet:
        return state
    wanted = IPv4Network(state.subnet)
    if state.pooled and any(wanted.overlaps(item) for item in taken.all() if isinstance(item, IPv4Network)):
        subnet = _subnet4(state.name, None, taken, pools)
        return replace(state, subnet=subnet, gateway=gateway_of(parse_network(subnet)), ip_range="", reserved=())
    _checked(state.name, state.subnet, taken)
    return state


def _given(network: WantedNetwork, version: int) -> IpamPool | None:
    for pool in network.ipam.config:
        try:
            found = parse_network(pool.subnet).version if pool.subnet else 4
        except ValueError as error:
            raise StackFileError(f"cannot create network {network.name}: subnet {pool.subnet!r}: {error}") from error
        if found == version:
            return pool
    return None


def _subnet4(name: str, given: IpamPool | None, taken: Taken, pools: Sequence[Pool]) -> str:
    if given and given.subnet:
        return _checked(name, given.subnet, taken)
    chosen = choose_subnet(taken.all(), pools)
    if chosen is None:
        raise HostUnfit(
            f"cannot create network {name}: every address pool is in use on this machine",
            hint="give the network a subnet of its own (networks: NAME: ipam: config: - subnet: 10.201.0.0/24), "
            "or take down stacks that are not needed",
        )
    return str(chosen)


def _checked(name: str, subnet: str, taken: Taken) -> str:
    wanted = parse_network(subnet)
    for used, link in taken.connected:
        if used.version == wanted.version and wanted.overlaps(used):
            raise PlanRefused(
                f"cannot create network {name}: its subnet {subnet} overlaps {used}, which {link} uses",
                hint="choose another subnet, or leave `subnet` out and a free one is found",
            )
    return str(wanted)


def _gateway(name: str, given: IpamPool | None, subnet: str) -> str:
    if given is None or not given.gateway:
        return gateway_of(parse_network(subnet))
    _inside(name, "gateway", given.gateway, subnet)
    return str(ip_address(given.gateway))


def _ip_range(name: str, given: IpamPool | None, subnet: str) -> str:
    if given is None or not given.ip_range:
        return ""
    try:
        wanted, whole = ip_network(given.ip_range, strict=False), ip_network(subnet)
    except ValueError as error:
        raise StackFileError(f"cannot create network {name}: ip_range {given.ip_range!r}: {error}") from error
    if wanted.version != whole.version or not wanted.subnet_of(whole):  # type: ignore[arg-type]
        raise StackFileError(f"cannot create network {name}: ip_range {given.ip_range} is not inside {subnet}")
    return str(wanted)


def _inside(name: str, what: str, address: str, subnet: str) -> None:
    try:
        fits = inside(address, subnet)
    except ValueError as error:
        raise StackFileError(f"cannot create network {name}: {what} {address!r}: {error}") from error
    if not fits:
        raise StackFileError(f"cannot create network {name}: {what} {address} is not inside {subnet}")
