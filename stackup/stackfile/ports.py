"""``ports``: the short syntax and its ranges (docker/go-connections, nat.ParsePortSpec)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from stackup.base.values import frozen
from stackup.stackfile.forms import Record
from stackup.stackfile.listforms import ListOf
from stackup.stackfile.nodes import Node
from stackup.stackfile.reader import Reader

_PORT = "[[IP:]HOST:]CONTAINER[/PROTOCOL], such as 8080:80 or 127.0.0.1:8080:80/udp"
_PROTOCOLS = ("tcp", "udp", "sctp")


class PortList(ListOf):
    """``ports``: a range such as ``8000-8002:80-82`` stands for several entries."""

    def __init__(self, long: Record) -> None:
        super().__init__(long, "a list of ports", key=_port_key)
        self.long = long

    def items(self, child: Node, path: str, reader: Reader) -> list[Node]:
        value = child.value
        if type(value) is dict:
            item = self.long.read(child, path, reader)
            if "target" not in value and not any(map(str.isdigit, value)):
                reader.refuse(child, path, "its target, the port in the container, is missing")
            return [] if item is None else [_with_mode(item)]
        if type(value) is int:
            value = str(value)
        if type(value) is not str:
            reader.wrong(child, path, f"a port: {_PORT}")
            return []
        if reader.open_text(child):
            return [child]
        try:
            ports = parse_ports(value)
        except ValueError as error:
            reader.misused(child, path, str(error), f"a port is written {_PORT}")
            return []
        if reader.problems.afford_ports(len(ports), child, path):
            return [child.with_value(port) for port in ports.each(child)]
        return []


def _with_mode(item: Node) -> Node:
    """Compose fills in the mode and protocol before it compares ports of several files."""
    given = item.value
    filled = {name: given[name] if name in given else item.under(value) for name, value in _DEFAULTS.items()}
    return item.with_value({**given, **filled})


_DEFAULTS = {"mode": "ingress", "protocol": "tcp"}


def _port_key(node: Node) -> str | None:
    if type(node.value) is not dict:
        return None
    published, target, protocol, address = (
        part.value if (part := node.value.get(name)) is not None else None for name in _IDENTITY
    )
    return f"{address or '0.0.0.0'}:{published or ''}:{target}/{protocol or 'tcp'}"


_IDENTITY = ("published", "target", "protocol", "host_ip")


@frozen
class Ports:
    """What a short port stands for: ``first`` to ``last`` in the container, each published or not.

    ``published`` is the host's port for the first one, those for the others follow; None for none; a text ("80-90")
    where one port of the container may get any of these.
    """

    first: int
    last: int
    published: int | str | None
    address: str
    protocol: str

    def __len__(self) -> int:
        return self.last - self.first + 1

    def each(self, node: Node) -> Iterator[dict[str, Node]]:
        """The long forms, at the place of ``node``. What all have in common they share: a range may be long."""
        mode, protocol = node.under("ingress"), node.under(self.protocol)
        common = {"host_ip": node.under(self.address)} if self.address else {}
        for target in range(self.first, self.last + 1):
            port = {"mode": mode, "target": node.under(target), "protocol": protocol}
            if self.published is not None:
                given = self.published
                port["published"] = node.under(given if isinstance(given, str) else str(given + target - self.first))
            yield port | common


def parse_ports(text: str) -> Ports:
    """What one short port stands for. Raises ValueError with a sentence (docker/go-connections nat.ParsePortSpec)."""
    spec, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash and protocol else "tcp"
    parts = spec.split(":")
    container = parts[-1]
    host = parts[-2] if len(parts) > 1 else ""
    address = _address(":".join(parts[:-2]))
    if not container:
        raise ValueError("the container's port is missing")
    if container.strip("0") == "":
        raise ValueError("a container has no port 0")
    if protocol not in _PROTOCOLS:
        raise ValueError(f"the protocol {protocol!r} is none of tcp, udp, sctp")
    start, end = _port_range(container, "container")
    if not host:
        return Ports(start, end, None, address, protocol)
    first, last = _port_range(host, "host")
    if end - start == last - first:
        return Ports(start, end, first, address, protocol)
    if end != start:
        raise ValueError(f"the ranges {host} and {container} differ in length")
    return Ports(start, end, f"{first}-{last}", address, protocol)


def _address(text: str) -> str:
    if not text:
        return ""
    plain = text[1:-1] if text[0] == "[" and text[-1] == "]" else text
    if not is_address(plain):
        raise ValueError(f"{text!r} is no IP address")
    return plain


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _port_range(text: str, side: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not (_is_port(first) and (not dash or _is_port(last))):
        raise ValueError(f"the {side} port {text!r} is no number from 0 to 65535 and no range of them")
    start, end = int(first), int(last if dash else first)
    if end < start:
        raise ValueError(f"the {side} port range {text!r} ends before it begins")
    return start, end


def _is_port(text: str) -> bool:
    return len(text) <= 5 and text.isascii() and text.isdigit() and int(text) <= 65535
