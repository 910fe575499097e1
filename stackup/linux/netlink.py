"""Raw rtnetlink, batched: many messages in one send. What the child of a container start needs and no more.

Whoever holds the names and addresses decides them; here they become bytes. Constants: include/uapi/linux/rtnetlink.h,
if_link.h, if_addr.h.
"""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, SOCK_CLOEXEC, SOCK_RAW, inet_pton
from _socket import socket as Socket
from struct import calcsize, pack, unpack_from

AF_NETLINK = 16
NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12

_REQUEST, _ACK, _EXCL, _CREATE = 1, 4, 0x200, 0x400
_NLMSG_ERROR = 2
_RTM_NEWLINK, _RTM_DELLINK, _RTM_NEWADDR, _RTM_NEWROUTE = 16, 17, 20, 24
_IFF_UP = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 10, 18
_IFLA_NET_NS_PID, _IFLA_IFALIAS, _IFLA_AF_SPEC, _IFLA_GROUP = 19, 20, 26, 27
_IFLA_NUM_TX_QUEUES, _IFLA_NUM_RX_QUEUES = 31, 32
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 8, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFA_F_NODAD = 2
_RTA_OIF, _RTA_GATEWAY = 4, 5
_RT_TABLE_MAIN, _RTPROT_STATIC = 254, 4


def open_socket(protocol: int = NETLINK_ROUTE) -> Socket:
    """Belongs to the network namespace in which it is made, whoever uses it later."""
    return Socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)


def attribute(kind: int, body: bytes) -> bytes:
    size = len(body) + 4
    return pack("HH", size, kind) + body + bytes(-size % 4)


def _link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return pack("BxHiII", 0, 0, index, flags, change)


def _name(name: str) -> bytes:
    return attribute(_IFLA_IFNAME, name.encode() + b"\0")


# A veth uses one queue anyway (drivers/net/veth.c, veth_init_queues). Unasked, the kernel makes one for each CPU and
# takes them away again, which waits for an RCU grace period, twice a pair, while nobody else can touch any link.
_ONE_QUEUE = attribute(_IFLA_NUM_TX_QUEUES, pack("I", 1)) + attribute(_IFLA_NUM_RX_QUEUES, pack("I", 1))


def split_address(address: str) -> tuple[int, bytes, int]:
    """(family, packed, prefix length) of "10.0.0.2/16" or "fd00::2/64"."""
    text, _, length = address.partition("/")
    family = AF_INET6 if ":" in text else AF_INET
    return family, inet_pton(family, text), int(length or (128 if family == AF_INET6 else 32))


class Batch:
    """Messages that go out in one send. ``send`` raises for the first that the kernel refuses, naming it."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.names: list[str] = []

    def _add(self, name: str, kind: int, flags: int, body: bytes) -> None:
        self.names.append(name)
        self._bytes += pack("IHHII", 16 + len(body), kind, flags | _REQUEST | _ACK, len(self.names), 0) + body

    def add_veth(
        self, host_name: str, bridge: int, peer_name: str, peer_pid: int, *, mac: str = "", group: int = 0, mtu: int = 0
    ) -> None:
        """A pair: one end up and in the bridge with this index, the other in the network namespace of ``peer_pid``."""
        shared = _ONE_QUEUE + (attribute(_IFLA_MTU, pack("I", mtu)) if mtu else b"")
        peer = _link() + _name(peer_name) + attribute(_IFLA_NET_NS_PID, pack("I", peer_pid)) + shared
        if mac:
            peer += attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
        info = attribute(_INFO_KIND, b"veth\0") + attribute(_INFO_DATA, attribute(_VETH_PEER, peer))
        body = _link(0, _IFF_UP, _IFF_UP) + _name(host_name) + attribute(_IFLA_MASTER, pack("I", bridge)) + shared
        if group:
            body += attribute(_IFLA_GROUP, pack("I", group))
        self._add(f"create link {host_name}", _RTM_NEWLINK, _CREATE | _EXCL, body + attribute(_IFLA_LINKINFO, info))

    def set_alias(self, name: str, alias: str) -> None:
        """Not possible in the message that creates the link."""
        self._add(
            f"alias of {name}", _RTM_NEWLINK, 0, _link() + _name(name) + attribute(_IFLA_IFALIAS, alias.encode()[:255])
        )

    def set_no_link_local(self, index: int) -> None:
        """No IPv6 address by itself when the link comes up; has to come before ``set_up``."""
        inet6 = attribute(AF_INET6, attribute(_INET6_ADDR_GEN_MODE, bytes([_ADDR_GEN_NONE])))
        self._add("address mode", _RTM_NEWLINK, 0, _link(index) + attribute(_IFLA_AF_SPEC, inet6))

    def set_up(self, index: int) -> None:
        self._add(f"bring up link {index}", _RTM_NEWLINK, 0, _link(index, _IFF_UP, _IFF_UP))

    def add_address(self, index: int, address: str) -> None:
        family, packed, length = split_address(address)
        flags = _IFA_F_NODAD if family == AF_INET6 else 0
        body = pack("BBBBi", family, length, flags, 0, index)
        body += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
        self._add(f"address {address}", _RTM_NEWADDR, _CREATE | _EXCL, body)

    def add_gateway(self, index: int, gateway: str) -> None:
        family, packed, _ = split_address(gateway)
        body = pack("BBBBBBBBI", family, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, 0, 1, 0)
        body += attribute(_RTA_GATEWAY, packed) + attribute(_RTA_OIF, pack("i", index))
        self._add(f"default route by {gateway}", _RTM_NEWROUTE, _CREATE | _EXCL, body)

    def delete_group(self, group: int) -> None:
        """All links of a group in one message; one by one they cost 21 ms each."""
        self._add(f"delete link group {group}", _RTM_DELLINK, 0, _link() + attribute(_IFLA_GROUP, pack("I", group)))

    def send(self, socket: Socket) -> None:
        if not self.names:
            return
        socket.send(self._bytes)
        failed: OSError | None = None
        for sequence, number in _acknowledgements(socket, len(self.names)):
            if number and failed is None:
                failed = OSError(number, f"{self.names[sequence - 1]}: {os.strerror(number)}")
        self._bytes, self.names = bytearray(), []
        if failed:
            raise failed


def _acknowledgements(socket: Socket, count: int) -> list[tuple[int, int]]:
    """(sequence, errno) of ``count`` acknowledged messages."""
    found: list[tuple[int, int]] = []
    while len(found) < count:
        data, at = socket.recv(1 << 16), 0
        while at < len(data):
            length, kind, _, sequence, _ = unpack_from("IHHII", data, at)
            if kind == _NLMSG_ERROR:
                found.append((sequence, -unpack_from("i", data, at + calcsize("IHHII"))[0]))
            at += (length + 3) & ~3
    return found
