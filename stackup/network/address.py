"""Choosing subnets and addresses. Pure: what is taken is handed in.

The default pools are Docker's (moby daemon/libnetwork/ipamutils): 172.17/16 to 172.31/16, then 192.168/16 in /20.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import inet_aton, inet_ntoa

Network = IPv4Network | IPv6Network
Pool = tuple[str, int]

DEFAULT_POOLS: tuple[Pool, ...] = (
    *((f"172.{second}.0.0/16", 16) for second in range(17, 32)),
    ("192.168.0.0/16", 20),
)


def subnets(pools: Iterable[Pool]) -> Iterator[IPv4Network]:
    for pool, length in pools:
        yield from IPv4Network(pool).subnets(new_prefix=length)


def choose_subnet(taken: Collection[Network], pools: Iterable[Pool] = DEFAULT_POOLS) -> IPv4Network | None:
    """The first subnet of ``pools`` that overlaps nothing in ``taken``; None when all are used up."""
    used = [item for item in taken if isinstance(item, IPv4Network)]
    return next((item for item in subnets(pools) if not any(item.overlaps(other) for other in used)), None)


def unique_local(identity: str) -> IPv6Network:
    """A /64 below fd00::/8 (RFC 4193) that is always the same for the same ``identity``."""
    digest = hashlib.sha256(identity.encode()).digest()[:7]
    return IPv6Network((int.from_bytes(b"\xfd" + digest + bytes(8), "big"), 64))


def gateway_of(subnet: Network) -> str:
    """The first address of the subnet, which is what Docker gives the bridge."""
    return str(subnet[1] if subnet.num_addresses > 2 else subnet[0])


def choose_address(subnet: str, used: Collection[str], *, ip_range: str = "", last: str = "") -> str | None:
    """The next free address after ``last``, going round, so that an address is not given again at once.

    ``used`` holds the gateway and everything reserved too. None when the range is full.
    """
    # inet_aton, not IPv4Address: this is asked for every container with the addresses of all others
    low, size, edges = _bounds(subnet, ip_range)
    taken = {int.from_bytes(inet_aton(item), "big") for item in used}.union(edges)
    after = int.from_bytes(inet_aton(last), "big") + 1 - low if last else 0
    start = after if 0 < after <= size else 0
    for step in range(min(size, len(taken) + 1)):
        number = low + (start + step) % size
        if number not in taken:
            return inet_ntoa(number.to_bytes(4, "big"))
    return None


@lru_cache(maxsize=64)
def _bounds(subnet: str, ip_range: str) -> tuple[int, int, frozenset[int]]:
    """Lowest address and number of addresses to choose from, and the two that no host may have."""
    whole = IPv4Network(subnet)
    inside = IPv4Network(ip_range) if ip_range else whole
    edges = frozenset((int(whole.network_address), int(whole.broadcast_address)) if whole.prefixlen < 31 else ())
    return int(inside.network_address), inside.num_addresses, edges


def mirrored(subnet6: str, address: str, subnet: str) -> str:
    """The IPv6 address with the same host number as ``address``: one lease serves both families."""
    number = int(IPv4Address(address)) - int(IPv4Network(subnet).network_address)
    return str(IPv6Network(subnet6)[number])


def mac_of(address: str) -> str:
    """A locally administered MAC made from the IPv4 address, as Docker has long done.

    Whoever gets an address next answers with the same MAC, so no neighbour's ARP entry is ever wrong.
    """
    parts = inet_aton(address) if ":" not in address else IPv6Address(address).packed[-4:]
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x42, *parts))


def parse_network(text: str) -> Network:
    """Raises ValueError in words when ``text`` is no subnet; host bits are refused, as Docker does."""
    return ip_network(text, strict=True)


def inside(address: str, subnet: str) -> bool:
    parsed, network = ip_address(address), ip_network(subnet)
    return parsed.version == network.version and parsed in network
