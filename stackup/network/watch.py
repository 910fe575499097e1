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
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER
        )
        self._socket.bind((0, 1 << (_GROUP_NFTABLES - 1)))
        loop.add_reader(self._socket, self._heard)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._idle.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def _heard(self) -> None:
        try:
            while True:
                self._socket.recv(1 << 16)
        except OSError:
            pass  # all read, or more than the buffer holds: something changed, and that is all that matters
        if self._timer is None:
            self._timer = self._loop.call_later(SETTLE_SECONDS, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._idle.cancel()
        self._idle = self._loop.call_later(QUIET_SECONDS, self._tell)
        self._changed()
