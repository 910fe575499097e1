"""Forgetting connections: a UDP "connection" to a published port outlives the container it leads to for as long as its
client keeps sending, and would go on being translated to the old address. TCP ends by itself; UDP has to be told.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Iterator

_NETLINK_NETFILTER = 12
_CTNETLINK = 1 << 8
_GET, _DELETE = _CTNETLINK | 1, _CTNETLINK | 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_TUPLE_ORIG, _TUPLE_REPLY, _ZONE = 1, 2, 18
_TUPLE_IP, _IP_SRC = 1, 1
_HEADER = struct.Struct("=IHHII")
_NFGEN = struct.Struct("=BBH")


def forget(addresses: Collection[str]) -> int:
    """Deletes every tracked IPv4 connection that is answered by one of ``addresses``. Best effort; answers how many."""
    wanted = {socket.inet_aton(address) for address in addresses if address and ":" not in address}
    if not wanted:
        return 0
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as netlink:
            return _forget(netlink, wanted)
    except OSError:
        return 0  # no connection tracking in this kernel: nothing to forget


def _forget(netlink: socket.socket, wanted: set[bytes]) -> int:
    found = [item for item in _dump(netlink) if _answered_by(item) in wanted]
    for item in found:
        kept = [raw for kind, raw in _attributes(item) if kind in (_TUPLE_ORIG, _ZONE)]
        _send(netlink, _DELETE, _REQUEST | _ACK, b"".join(kept))
        netlink.recv(1 << 16)
    return len(found)


def _dump(netlink: socket.socket) -> Iterator[bytes]:
    _send(netlink, _GET, _REQUEST | _DUMP, b"")
    while True:
        data = netlink.recv(1 << 18)
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, _flags, _sequence, _pid = _HEADER.unpack_from(data, offset)
            if kind in (_DONE, _ERROR):
                return
            yield data[offset + _HEADER.size + _NFGEN.size : offset + length]
            offset += (length + 3) & ~3


def _send(netlink: socket.socket, kind: int, flags: int, attributes: bytes) -> None:
    body = _NFGEN.pack(socket.AF_INET, 0, 0) + attributes
    netlink.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, whole padded attribute)"""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        end = offset + ((length + 3) & ~3)
        yield kind & 0x3FFF, data[offset:end]
        offset = end


def _answered_by(item: bytes) -> bytes:
    """The source address of the answering direction."""
    reply = next((raw[4:] for kind, raw in _attributes(item) if kind == _TUPLE_REPLY), b"")
    address = next((raw[4:] for kind, raw in _attributes(reply) if kind == _TUPLE_IP), b"")
    return next((raw[4:8] for kind, raw in _attributes(address) if kind == _IP_SRC), b"")
