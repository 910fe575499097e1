"""Networks of the stack: subnets that are some, addresses that lie in them and are given once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from stackup.stackfile.nodes import Node
from stackup.stackfile.problems import Problems
from stackup.stackfile.reader import show

Subnet = IPv4Network | IPv6Network
_OPTION = "com.docker.network"


def check_networks(services: Mapping[str, Node], networks: Mapping[str, Node], problems: Problems) -> None:
    """``networks`` are those that are used."""
    known: dict[str, list[Subnet]] = {}
    taken: list[tuple[Subnet, str, Node]] = []
    for key, network in networks.items():
        external = network.get("external")
        if type(network.value) is not dict or (external is not None and external.value is True):
            continue
        path = f"networks.{key}"
        _options(path, network, problems)
        known[key] = []
        for index, pool in enumerate(_pools(network)):
            subnet = _pool(f"{path}.ipam.config[{index}]", pool, problems)
            if subnet is None:
                continue
            known[key].append(subnet)
            node = pool.value["subnet"]
            other = next(
                (item for item in taken if item[0].version == subnet.version and item[0].overlaps(subnet)), None
            )
            if other is not None:
                where = f"line {other[2].line}" if other[2].source is node.source else problems.short(other[2].position)
                problems.add(node, f"cannot use {path}: its subnet {subnet} overlaps that of {other[1]} in {where}")
            taken.append((subnet, path, node))
    _Endpoints(networks, known, problems).check(services)


def _pools(network: Node) -> Iterator[Node]:
    ipam = network.get("ipam")
    config = ipam.get("config") if ipam is not None else None
    if config is not None and type(config.value) is list:
        yield from (pool for pool in config.value if type(pool.value) is dict)


def _pool(path: str, pool: Node, problems: Problems) -> Subnet | None:
    """The subnet; None where there is none, or none that could be read."""
    node = pool.get("subnet")
    if node is None or not node.value:
        return None
    text = str(node.value)
    try:
        subnet = ip_network(text, strict=False)
    except ValueError:
        problems.add(node, f"cannot use {show(node)} for {path}.subnet: it is no subnet", hint="such as 10.201.0.0/24")
        return None
    if str(ip_address(text.partition("/")[0])) != str(subnet.network_address):
        problems.add(
            node, f"cannot use {show(node)} for {path}.subnet: it is an address in a subnet", hint=f"write {subnet}"
        )
        return subnet
    for name, child in (("gateway", pool.get("gateway")), *_auxiliary(pool)):
        if child is not None and child.value:
            _check_inside(child, f"{path}.{name}", subnet, problems)
    _check_range(pool.get("ip_range"), f"{path}.ip_range", subnet, problems)
    return subnet


def _auxiliary(pool: Node) -> Iterator[tuple[str, Node]]:
    node = pool.get("aux_addresses")
    if node is not None and type(node.value) is dict:
        yield from ((f"aux_addresses.{name}", child) for name, child in node.value.items())


def _check_inside(node: Node, path: str, subnet: Subnet, problems: Problems) -> None:
    try:
        address = ip_address(str(node.value))
    except ValueError:
        problems.add(node, f"cannot use {show(node)} for {path}: it is no IP address")
        return
    if address.version != subnet.version or address not in subnet:
        problems.add(node, f"cannot use {show(node)} for {path}: it is not inside the subnet {subnet}")


def _check_range(node: Node | None, path: str, subnet: Subnet, problems: Problems) -> None:
    if node is None or not node.value:
        return
    try:
        wanted = ip_network(str(node.value), strict=False)
    except ValueError:
        problems.add(node, f"cannot use {show(node)} for {path}: it is no range of addresses")
        return
    if wanted.version != subnet.version or not wanted.subnet_of(subnet):  # type: ignore[arg-type]
        problems.add(node, f"cannot use {show(node)} for {path}: it is not inside the subnet {subnet}")


def _options(path: str, network: Node, problems: Problems) -> None:
    options = network.get("driver_opts") or network.under({})
    name, mtu = options.get(f"{_OPTION}.bridge.name"), options.get(f"{_OPTION}.driver.mtu")
    link = str(name.value or "") if name is not None else ""
    if name is not None and (len(link.encode("utf-8", "surrogatepass")) > 15 or "/" in link):
        problems.add(name, f"cannot use {show(name)} for {path}: it is no name of a link", hint="at most 15 letters")
    if mtu is not None and not str(mtu.value).isdecimal():
        problems.add(mtu, f"cannot use {show(mtu)} for {path}: it is no MTU", hint="such as 1500")
    no4, with6 = network.get("enable_ipv4"), network.get("enable_ipv6")
    if no4 is not None and no4.value is False and (with6 is None or with6.value is not True):
        problems.add(no4, f"cannot use {path}: neither IPv4 nor IPv6 is enabled", hint="add enable_ipv6: true")


class _Endpoints:
    """``ipv4_address`` and ``ipv6_address`` of the services. ``known``: the subnets of networks made here."""

    def __init__(self, networks: Mapping[str, Node], known: Mapping[str, list[Subnet]], problems: Problems) -> None:
        self.known = known
        self.problems = problems
        self.taken: dict[tuple[str, str], tuple[str, Node]] = {}
        for key, network in networks.items():
            for pool in _pools(network):
                gateway = pool.get("gateway")
                if gateway is not None and gateway.value:
                    self.taken[key, str(gateway.value)] = (f"the gateway of {key}", gateway)

    def check(self, services: Mapping[str, Node]) -> None:
        for name, service in services.items():
            places = service.get("networks")
            for key, place in places.value.items() if places is not None and type(places.value) is dict else ():
                for attribute, version in (("ipv4_address", 4), ("ipv6_address", 6)):
                    node = place.get(attribute)
                    if node is not None and node.value:
                        self.place(name, key, f"services.{name}.networks.{key}.{attribute}", node, version)

    def place(self, service: str, key: str, path: str, node: Node, version: int) -> None:
        try:
            address = ip_address(str(node.value))
        except ValueError:
            return  # said already
        subnets = self.known.get(key)
        if subnets is None or address.version != version:
            return
        fitting = [item for item in subnets if item.version == version]
        if not any(address in item for item in fitting):
            reason = f"it is not inside the subnet {fitting[0]}" if fitting else "the network has no subnet of its own"
            hint = "" if fitting else f"networks: {{{key}: {{ipam: {{config: [{{subnet: ...}}]}}}}}}"
            self.problems.add(node, f"cannot use {show(node)} for {path}: {reason}", hint=hint)
            return
        other = self.taken.setdefault((key, str(address)), (f"service {service!r}", node))
        if other[1] is not node:
            self.problems.add(node, f"cannot use {show(node)} for {path}: {other[0]} has it (line {other[1].line})")
