"""Bridges, addresses and routes: batches of netlink messages, and snapshots of what the kernel has.

Requests are encoded by pyroute2's classes (see ``codec``) and sent many at a time over one socket; pyroute2's own
sockets run an event loop each and refuse to work inside another one. Dumps are walked with ``struct``: a host can have
hundreds of links, of which few concern us.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_interface, ip_network

from stackup.base.values import frozen
from stackup.network.address import Network
from stackup.network.codec import codec

ALIAS_MAX = 255

_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _GETADDR, _GETROUTE = 16, 17, 18, 20, 22, 26
_REQUEST, _ACK, _EXCL, _CREATE, _DUMP = 0x1, 0x4, 0x200, 0x400, 0x300
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_GROUP = 1, 3, 10, 18, 20, 27
_UP = 1


class LinkError(OSError):
    """A netlink request was refused. ``step`` says which of the batch."""

    def __init__(self, number: int, step: str) -> None:
        super().__init__(number, os.strerror(number))
        self.step = step


@frozen
class Link:
    index: int
    name: str
    kind: str
    alias: str
    group: int
    master: int
    up: bool


@frozen
class Request:
    """One encoded message; ``step`` is its name in errors. ``tolerate`` are errnos that mean "is already so"."""

    step: str
    data: bytes
    tolerate: tuple[int, ...] = ()


def add_bridge(name: str, mac: str, mtu: int) -> Request:
    """Made down. Its MAC is set: left alone, a bridge takes the lowest of its ports', and changes with them."""
    # No forward delay: a port forwards as soon as it is there. No multicast snooping: without a querier on the bridge,
    # snooping cuts members off after some minutes.
    info = {
        "attrs": [
            ("IFLA_INFO_KIND", "bridge"),
            ("IFLA_INFO_DATA", {"attrs": [("IFLA_BR_FORWARD_DELAY", 0), ("IFLA_BR_MCAST_SNOOPING", 0)]}),
        ]
    }
    attributes: list[object] = [("IFLA_IFNAME", name), ("IFLA_ADDRESS", mac), ("IFLA_LINKINFO", info)]
    if mtu:
        attributes.append(("IFLA_MTU", mtu))
    return _link(f"add bridge {name}", _NEWLINK, _CREATE | _EXCL, {}, attributes)


def set_alias(name: str, alias: str) -> Request:
    """A message of its own: the kernel ignores IFLA_IFALIAS when a link is made."""
    text = alias.encode()[:ALIAS_MAX].decode(errors="ignore")
    return _link(f"name the purpose of {name}", _NEWLINK, 0, {}, [("IFLA_IFNAME", name), ("IFLA_IFALIAS", text)])


def set_up(index: int) -> Request:
    return _link("bring the bridge up", _NEWLINK, 0, {"index": index, "flags": _UP, "change": _UP}, [])


def set_master(index: int, bridge: int) -> Request:
    return _link("put the link into its bridge", _NEWLINK, 0, {"index": index}, [("IFLA_MASTER", bridge)])


def set_port(index: int, *, hairpin: bool, isolated: bool) -> Request:
    """``hairpin`` lets a port send a frame back where it came from: a container that talks to its own published port.
    ``isolated`` ports reach the bridge, but not each other."""
    flags = [("IFLA_BRPORT_MODE", int(hairpin)), ("IFLA_BRPORT_ISOLATED", int(isolated))]
    info = {"attrs": [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", {"attrs": flags})]}
    return _link("set up the bridge port", _NEWLINK, 0, {"index": index}, [("IFLA_LINKINFO", info)])


def add_address(index: int, address: str) -> Request:
    """``address`` as ``ip/length``."""
    interface = ip_interface(address)
    length = interface.network.prefixlen
    fields = {
        "family": socket.AF_INET if interface.version == 4 else socket.AF_INET6,
        "prefixlen": length,
        "index": index,
        "flags": 0 if interface.version == 4 else 0x02,  # IFA_F_NODAD: it is ours alone
    }
    attributes = [("IFA_ADDRESS", str(interface.ip)), ("IFA_LOCAL", str(interface.ip))]
    if interface.version == 4 and length < 31:
        attributes.append(("IFA_BROADCAST", str(interface.network.broadcast_address)))
    made = codec()
    data = made.encode(made.address, _NEWADDR, _REQUEST | _ACK | _CREATE | _EXCL, fields, attributes)
    return Request(f"add address {address}", data, (errno.EEXIST,))


def delete_link(index: int) -> Request:
    return _link("delete the link", _DELLINK, 0, {"index": index}, [], (errno.ENODEV,))


def delete_group(group: int) -> Request:
    """All links of a group in one message. One by one costs 21 ms each (RCU barriers under RTNL), batched or not."""
    return _link(f"delete link group {group}", _DELLINK, 0, {}, [("IFLA_GROUP", group)], (errno.ENODEV,))


def _link(
    step: str,
    kind: int,
    flags: int,
    fields: dict[str, int],
    attributes: Sequence[object],
    tolerate: tuple[int, ...] = (),
) -> Request:
    made = codec()
    return Request(step, made.encode(made.link, kind, _REQUEST | _ACK | flags, fields, attributes), tolerate)


class Rtnl:
    """One rtnetlink socket, in the network namespace of the thread that opened it. Not for several threads at once."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Rtnl:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, *requests: Request) -> None:
        """Sends all in one write and waits for every answer; raises for the first one refused."""
        if not requests:
            return
        first = self._sequence + 1
        batch = bytearray()
        for number, request in enumerate(requests, first):
            message = bytearray(request.data)
            struct.pack_into("=I", message, 8, number)
            batch += message + b"\0" * (-len(message) % 4)
        self._sequence += len(requests)
        self._socket.send(batch)
        failures: dict[int, int] = {}
        waiting = len(requests)
        while waiting:
            for kind, sequence, body in self._receive():
                if kind == _ERROR and sequence >= first:
                    waiting -= 1
                    number = -struct.unpack_from("=i", body)[0]
                    if number and number not in requests[sequence - first].tolerate:
                        failures.setdefault(sequence - first, number)
        for index in sorted(failures):
            raise LinkError(failures[index], requests[index].step)

    def links(self) -> list[Link]:
        body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + struct.pack("=HHI", 8, 29, 1 << 3)  # no statistics
        return [_parse_link(item) for item in self._dump(_GETLINK, body)]

    def addresses(self) -> list[tuple[int, Network]]:
        """Link index and the subnet of every address on this host."""
        found: list[tuple[int, Network]] = []
        for item in self._dump(_GETADDR, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
            _family, length, _flags, _scope, index = struct.unpack_from("=BBBBI", item)
            attributes = dict(_attributes(item, 8))
            raw = attributes.get(1) or attributes.get(2)
            if raw:
                found.append((index, _network(raw, length)))
        return found

    def routes(self) -> list[Network]:
        """Destinations of every route in every table, without default routes: 0.0.0.0/0, and the halves and eighths
        of it that VPN clients set to win over the default."""
        found: list[Network] = []
        for item in self._dump(_GETROUTE, bytes(12)):
            length = item[1]
            raw = dict(_attributes(item, 12)).get(1)
            if raw and length >= 8:
                found.append(_network(raw, length))
        return found

    def _dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        self._sequence += 1
        wanted = self._sequence
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _DUMP, wanted, 0) + body)
        while True:
            for answer, sequence, payload in self._receive():
                if sequence != wanted:
                    continue
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    raise LinkError(-struct.unpack_from("=i", payload)[0], "read the kernel's tables")
                yield payload

    def _receive(self) -> list[tuple[int, int, bytes]]:
        data = self._socket.recv(1 << 18)
        found: list[tuple[int, int, bytes]] = []
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, _flags, sequence, _pid = _HEADER.unpack_from(data, offset)
            found.append((kind, sequence, data[offset + _HEADER.size : offset + length]))
            offset += (length + 3) & ~3
        return found


def _attributes(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def _parse_link(item: bytes) -> Link:
    _family, _type, index, flags, _change = struct.unpack_from("=BxHiII", item)
    attributes = dict(_attributes(item, 16))
    info = dict(_attributes(attributes.get(_IFLA_LINKINFO, b""), 0))
    return Link(
        index,
        _text(attributes.get(_IFLA_IFNAME, b"")),
        _text(info.get(1, b"")),
        _text(attributes.get(_IFLA_IFALIAS, b"")),
        int.from_bytes(attributes.get(_IFLA_GROUP, b""), sys.byteorder),
        int.from_bytes(attributes.get(_IFLA_MASTER, b""), sys.byteorder),
        bool(flags & _UP),
    )


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode(errors="replace")


def _network(raw: bytes, length: int) -> IPv4Network | IPv6Network:
    address = IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)
    return ip_network((address, length), strict=False)
