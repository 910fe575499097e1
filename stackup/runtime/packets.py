"""One packet = one JSON object plus descriptors, on a SOCK_SEQPACKET socket. Used at both ends, standard library only.

Requests carry ``op`` and ``tag``; the answer carries the same tag as ``re`` and either ``ok`` or ``fault``. Events
carry ``event`` and come unasked. The protocol only grows: a launcher outlives upgrades of its supervisors.
"""

from __future__ import annotations

import json
import os
from _socket import CMSG_SPACE, MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_DONTWAIT, MSG_NOSIGNAL, SCM_RIGHTS, SOL_SOCKET
from _socket import socket as Socket
from struct import pack, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

PROTOCOL = 1
MAX_PACKET = 1 << 18
MAX_FDS = 250  # the kernel's SCM_MAX_FD is 253

_CONTROL_SPACE = CMSG_SPACE(4 * (MAX_FDS + 3))
# Where packets arrive, one after the other: each end has one thread for them, and room for the largest is dear to make.
_incoming = memoryview(bytearray(MAX_PACKET))


def encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode("utf-8", "surrogateescape")


def send_bytes(sock: Socket, data: bytes, fds: Sequence[int] = (), *, wait: bool = False) -> None:
    """Raises BlockingIOError when the peer's queue is full, unless told to ``wait``."""
    control = [(SOL_SOCKET, SCM_RIGHTS, pack(f"{len(fds)}i", *fds))] if fds else []
    sock.sendmsg([data], control, MSG_NOSIGNAL | (0 if wait else MSG_DONTWAIT))


def send(sock: Socket, message: dict[str, Any], fds: Sequence[int] = (), *, wait: bool = False) -> None:
    send_bytes(sock, encode(message), fds, wait=wait)


def receive(sock: Socket, *, wait: bool = False) -> tuple[dict[str, Any] | None, list[int]]:
    """One packet, or (None, []) when the peer has gone. Raises BlockingIOError when there is none (unless ``wait``)."""
    try:
        flags = MSG_CMSG_CLOEXEC | (0 if wait else MSG_DONTWAIT)
        size, ancillary, got, _ = sock.recvmsg_into([_incoming], _CONTROL_SPACE, flags)
    except ConnectionError:
        return None, []
    fds = [
        fd
        for level, kind, body in ancillary
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS)
        for fd in unpack(f"{len(body) // 4}i", body[: len(body) // 4 * 4])
    ]
    if got & MSG_CTRUNC:
        for fd in fds:
            os.close(fd)
        return {}, []
    if not size:
        return None, []
    return json.loads(str(_incoming[:size], "utf-8", "surrogateescape")), fds
