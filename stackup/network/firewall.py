"""The text of a project's nftables table. Pure: networks and ports in, nft commands out; each text is one transaction.

What the table does, chain by chain:

guard        containers cannot reach the host's 127/8 through the bridge (route_localnet is on for published ports)
translate    published ports: one map element each, looked up for packets to an address of this host
postrouting  source addresses: outbound, a published port's answer to localhost, and a container that meets itself
forward      who may talk to whom; everything that is not ours is left to other tables
fence        a late packet to a container that is gone never leaves by the default route
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from stackup.network.types import NetworkState, PublishedPort

COMMENT_MAX = 120

_CHAINS = """
  chain guard { type filter hook prerouting priority raw; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop
    iifname @bridges ip saddr 127.0.0.0/8 drop
  }
  chain translate {
    dnat ip to ip daddr . meta l4proto . th dport map @at4
    fib daddr type local dnat ip to meta l4proto . th dport map @any4
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @at6
    fib daddr type local dnat ip6 to meta l4proto . th dport map @any6
  }
  chain prerouting { type nat hook prerouting priority dstnat; policy accept;
    ip daddr 127.0.0.0/8 return
    ip6 daddr ::1 return
    jump translate
  }
  chain output { type nat hook output priority -100; policy accept;
    ip6 daddr ::1 return
    jump translate
  }
  chain postrouting { type nat hook postrouting priority srcnat; policy accept;
    ct status dnat ip saddr . oifname @home4 masquerade
    ct status dnat ip6 saddr . oifname @home6 masquerade
    ip saddr 127.0.0.0/8 oifname @bridges masquerade
    ip saddr @outbound4 ip saddr . oifname != @home4 masquerade
    ip6 saddr @outbound6 ip6 saddr . oifname != @home6 masquerade
  }
  chain forward { type filter hook forward priority filter; policy accept;
    iifname != @bridges oifname != @bridges return
    ct state established,related accept
    iifname @bridges oifname != @bridges ct state invalid drop
    iifname . oifname @within accept
    iifname @closed drop
    oifname @closed drop
    oifname @bridges ct status dnat accept
    oifname @bridges drop
  }
  chain fence { type filter hook postrouting priority 300; policy accept;
    ip daddr @subnets4 oifname != @bridges oifname != "lo" drop
    ip6 daddr @subnets6 oifname != @bridges oifname != "lo" drop
  }
"""


def table_text(table: str, project: str, networks: Sequence[NetworkState], ports: Sequence[PublishedPort]) -> str:
    """Makes the table, replacing one of the same name, in one transaction."""
    sets = [_set(name, kind, elements) for name, (kind, elements) in _sets(networks).items()]
    maps = [_map(name, kind, _elements(name, ports)) for name, kind in _MAPS.items()]
    body = "\n".join(f"  {line}" for line in (*sets, *maps) if line)
    comment = f'  comment "{_clean(f"stackup project {project}")}"\n'
    return f"{removal_text(table)}table inet {table} {{\n{comment}{body}\n{_CHAINS}}}\n"


def shape(networks: Sequence[NetworkState], ports: Sequence[PublishedPort]) -> dict[str, int]:
    """How many rules each chain of the table has, and how many elements each set and map."""
    sizes = {name: len(elements) for name, (_, elements) in _sets(networks).items()}
    sizes |= {name: len(_elements(name, ports)) for name in _MAPS}
    chain = ""
    for line in _CHAINS.splitlines():
        words = line.split()
        if words[:1] == ["chain"]:
            chain = words[1]
            sizes[chain] = 0
        elif words and words != ["}"]:
            sizes[chain] += 1
    return sizes


def shape_of(listed: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The same of what ``list table`` answered."""
    sizes: dict[str, int] = {}
    for item in listed:
        for kind, thing in item.items():
            if kind == "chain":
                sizes.setdefault(thing["name"], 0)
            elif kind == "rule":
                sizes[thing["chain"]] = sizes.get(thing["chain"], 0) + 1
            elif kind in ("set", "map"):
                sizes[thing["name"]] = len(thing.get("elem", ()))
    return sizes


def _sets(networks: Sequence[NetworkState]) -> dict[str, tuple[str, list[str]]]:
    """Name -> type and elements."""
    bridges = [f'"{item.bridge}"' for item in networks]
    four, six = [item for item in networks if item.subnet], [item for item in networks if item.subnet6]
    talking = [f'"{item.bridge}" . "{item.bridge}"' for item in networks if item.talk]
    home4 = [f'{item.subnet} . "{item.bridge}"' for item in four]
    home6 = [f'{item.subnet6} . "{item.bridge}"' for item in six]
    return {
        "bridges": ("type ifname", bridges),
        "closed": ("type ifname", [f'"{item.bridge}"' for item in networks if item.internal]),
        "within": ("type ifname . ifname", talking),
        "subnets4": ("type ipv4_addr; flags interval", [item.subnet for item in four]),
        "subnets6": ("type ipv6_addr; flags interval", [item.subnet6 for item in six]),
        "outbound4": ("type ipv4_addr; flags interval", [item.subnet for item in four if item.masquerade]),
        "outbound6": ("type ipv6_addr; flags interval", [item.subnet6 for item in six if item.masquerade]),
        "home4": ("type ipv4_addr . ifname; flags interval", home4),
        "home6": ("type ipv6_addr . ifname; flags interval", home6),
    }


def ports_text(table: str, ports: Sequence[PublishedPort]) -> str:
    """Replaces all published ports of an existing table in one transaction."""
    lines = []
    for name in _MAPS:
        lines.append(f"flush map inet {table} {name}")
        elements = _elements(name, ports)
        if elements:
            lines.append(f"add element inet {table} {name} {{ {', '.join(elements)} }}")
    return "\n".join(lines) + "\n"


def removal_text(table: str) -> str:
    """Removes the table, whether it exists or not."""
    return f"table inet {table}\ndelete table inet {table}\n"


_MAPS = {
    "any4": "type inet_proto . inet_service : ipv4_addr . inet_service",
    "at4": "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
    "any6": "type inet_proto . inet_service : ipv6_addr . inet_service",
    "at6": "type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service",
}


def _elements(name: str, ports: Iterable[PublishedPort]) -> list[str]:
    return [text for port in ports for place, text in _places(port) if place == name]


def _places(port: PublishedPort) -> list[tuple[str, str]]:
    """The map elements of one port: (map, element)."""
    comment = f' comment "{_clean(port.holder)}"' if port.holder else ""
    key = f"{port.protocol} . {port.host_port}{comment} : "
    to4, to6 = f"{port.address} . {port.container_port}", f"{port.address6} . {port.container_port}"
    version = ip_address(port.host_ip).version if port.host_ip else 0
    wild = not port.host_ip or ip_address(port.host_ip).is_unspecified
    places = []
    if port.address and version in (0, 4):
        places.append(("any4", key + to4) if wild else ("at4", f"{port.host_ip} . {key}{to4}"))
    if port.address6 and version in (0, 6):
        places.append(("any6", key + to6) if wild else ("at6", f"{port.host_ip} . {key}{to6}"))
    return places


def _set(name: str, kind: str, elements: Sequence[str]) -> str:
    return f"set {name} {{ {kind};{_listed(elements)} }}"


def _map(name: str, kind: str, elements: Sequence[str]) -> str:
    return f"map {name} {{ {kind};{_listed(elements)} }}"


def _listed(elements: Sequence[str]) -> str:
    return f" elements = {{ {', '.join(elements)} }};" if elements else ""


def _clean(text: str) -> str:
    return "".join(char for char in text if char.isprintable() and char not in '"\\')[:COMMENT_MAX]
