"""The supervisor's connection as the launcher sees it: answers and events go out without ever blocking the launcher."""

from __future__ import annotations

import os
from collections import deque

from stackup.runtime import packets
from stackup.runtime.launcher.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from collections.abc import Callable
    from typing import Any

    from stackup.runtime.launcher.loop import Loop

    Fds = list[int]

# A peer that lets this many packets wait is not coming back; its successor asks for the list.
MAX_UNSENT = 8192
_SOL_SOCKET, _SO_SNDBUFFORCE = 1, 32


class Channel:
    def __init__(
        self,
        loop: Loop,
        sock: Socket,
        on_request: Callable[[dict[str, Any], Fds], None],
        on_gone: Callable[[], None],
    ) -> None:
        """``on_request`` owns the descriptors that it is given."""
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._on_request = on_request
        self._on_gone = on_gone
        self._unsent: deque[tuple[bytes, Fds]] = deque()
        self.open = True
        try:
            sock.setsockopt(_SOL_SOCKET, _SO_SNDBUFFORCE, 1 << 20)
        except OSError:
            self._unsent.clear()  # the default size does, too
        loop.watch(self._fd, self._ready)

    def answer(self, tag: int, ok: dict[str, Any], fds: Fds | None = None) -> None:
        """``fds`` stay the caller's: they are duplicated when the packet has to wait."""
        self._send({"re": tag, "ok": ok}, fds or [])

    def fault(self, tag: int, fault: dict[str, Any]) -> None:
        self._send({"re": tag, "fault": fault}, [])

    def event(self, message: dict[str, Any]) -> None:
        self._send(message, [])

    def close(self) -> None:
        if self.open:
            self.open = False
            self._loop.forget(self._fd)
            self._sock.close()
            for _, fds in self._unsent:
                close_all(fds)
            self._unsent.clear()

    def _send(self, message: dict[str, Any], fds: Fds) -> None:
        if not self.open:
            return
        data = packets.encode(message)
        if not self._unsent:
            try:
                packets.send_bytes(self._sock, data, fds)
                return
            except BlockingIOError:
                self._loop.watch(self._fd, self._ready, READ | WRITE)
            except OSError:  # told by the reading side as well
                return
        if len(self._unsent) >= MAX_UNSENT:
            self._lose()
            return
        self._unsent.append((data, [os.dup(fd) for fd in fds]))

    def _ready(self) -> None:
        if self._unsent:
            self._flush()
        while self.open:
            try:
                message, fds = packets.receive(self._sock)
            except BlockingIOError:
                return
            except OSError:
                message, fds = None, []
            if message is None:
                self._lose()
                return
            self._on_request(message, fds)

    def _flush(self) -> None:
        while self._unsent:
            data, fds = self._unsent[0]
            try:
                packets.send_bytes(self._sock, data, fds)
            except BlockingIOError:
                return
            except OSError:
                self._lose()
                return
            self._unsent.popleft()
            close_all(fds)
        self._loop.watch(self._fd, self._ready, READ)

    def _lose(self) -> None:
        if self.open:
            self.close()
            self._on_gone()


def close_all(fds: Fds) -> None:
    for fd in fds:
        os.close(fd)
