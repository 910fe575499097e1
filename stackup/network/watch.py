"""Noticing that somebody changed the firewall: the kernel tells whoever listens about every nf_tables transaction.

``systemctl reload nftables``, a Docker engine that starts, ``iptables -F``: each takes or blocks what containers need.
The legacy iptables interface tells nobody, so now and then is a time to look as well.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

_NETLINK_NETFILTER = 12
_GROUP_NFTABLES = 7
SETTLE_SECONDS = 0.3
QUIET_SECONDS = 30.0


class FirewallWatch:
    """Calls ``changed`` on the loop, SETTLE_SECONDS after the first of some changes (our own count as well), and when
    nothing was heard for QUIET_SECONDS. What is called should cost little when nothing is wrong, as
    ``NetworkManager.verify`` does."""

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], object]) -> None:
        self._loop = loop
        self._changed = changed
        self._timer: asyncio.TimerHandle | None = None
        self._idle = loop.call_later(QUIET_SECONDS, self._tell)
        self._socket = _listen()
        if self._socket is not None:
            loop.add_reader(self._socket, self._heard, self._socket)

    def close(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
        self._idle.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def _heard(self, sock: socket.socket) -> None:
        try:
            while True:
                sock.recv(1 << 16)
        except OSError:
            pass  # all read, or more than the buffer holds: something changed, and that is all that matters
        if self._timer is None:
            self._timer = self._loop.call_later(SETTLE_SECONDS, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._idle.cancel()
        self._idle = self._loop.call_later(QUIET_SECONDS, self._tell)
        self._changed()


def _listen() -> socket.socket | None:
    """None on a kernel without nf_tables, or without the right to listen: then looking now and then has to do."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    try:
        sock = socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER)
    except OSError:
        return None
    try:
        sock.bind((0, 1 << (_GROUP_NFTABLES - 1)))
    except OSError:
        sock.close()
        return None
    return sock
