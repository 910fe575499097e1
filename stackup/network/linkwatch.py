"""Noticing that links or addresses are taken away: the kernel tells whoever listens, and filters what is not asked for.

Only deletions and links that are down get through; what happens at every start of a container costs nothing.
"""

from __future__ import annotations

import asyncio
import socket
from array import array
from collections.abc import Callable
from struct import pack, unpack_from

_GROUP_LINK, _GROUP_ADDRESS4, _GROUP_ADDRESS6 = 1 << 0, 1 << 4, 1 << 8
_DELLINK, _DELADDR = 17, 21
_SO_ATTACH_FILTER = 26
_IFLA_IFNAME = 3
# Classic BPF over struct nlmsghdr and what follows it; loads are big-endian, the numbers in there are not.
_LOAD_HALF, _LOAD_BYTE, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x28, 0x30, 0x15, 0x45, 0x06
_TYPE_OFFSET, _FLAGS_OFFSET = 4, 24
_NEWLINK_BE, _DELLINK_BE, _DELADDR_BE = 0x1000, 0x1100, 0x1500
_FILTER = (
    (_LOAD_HALF, 0, 0, _TYPE_OFFSET),
    (_JUMP_EQUAL, 5, 0, _DELLINK_BE),
    (_JUMP_EQUAL, 4, 0, _DELADDR_BE),
    (_JUMP_EQUAL, 0, 2, _NEWLINK_BE),
    (_LOAD_BYTE, 0, 0, _FLAGS_OFFSET),
    (_JUMP_SET, 0, 1, 1),  # IFF_UP
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, 1 << 18),
)


class LinkWatch:
    """Calls ``lost`` on the loop with the names of links that are gone, down, or out of their bridge; "" in it stands
    for what has no name in the message: an address, or more than the socket's buffer held."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lost: Callable[[set[str]], object]) -> None:
        self._loop = loop
        self._lost = lost
        self._socket = _listen()
        if self._socket is not None:
            loop.add_reader(self._socket, self._heard, self._socket)

    def close(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _heard(self, sock: socket.socket) -> None:
        names: set[str] = set()
        try:
            while True:
                names |= names_in(sock.recv(1 << 16))
        except BlockingIOError:
            pass
        except OSError:
            names.add("")
        if names:
            self._lost(names)


def names_in(data: bytes) -> set[str]:
    """Of links, in rtnetlink messages."""
    found, offset = set(), 0
    while offset + 16 <= len(data):
        length, kind = unpack_from("IH", data, offset)
        if kind == _DELADDR:
            found.add("")
        else:
            found.add(_name(data[offset + 32 : offset + length]))
        offset += max(16, (length + 3) & ~3)
    return found


def _name(attributes: bytes) -> str:
    offset = 0
    while offset + 4 <= len(attributes):
        length, kind = unpack_from("HH", attributes, offset)
        if kind == _IFLA_IFNAME:
            return attributes[offset + 4 : offset + length].rstrip(b"\0").decode(errors="replace")
        offset += max(4, (length + 3) & ~3)
    return ""


def _listen() -> socket.socket | None:
    """None without the right to listen."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    try:
        sock = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
    except OSError:
        return None
    code = array("B", b"".join(pack("HBBI", *step) for step in _FILTER))
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pack("HxxxxxxQ", len(_FILTER), code.buffer_info()[0]))
        sock.bind((0, _GROUP_LINK | _GROUP_ADDRESS4 | _GROUP_ADDRESS6))
    except OSError:
        sock.close()
        return None
    return sock
