"""A look into a running container from outside of it: sockets in its network, files below its root."""

from __future__ import annotations

import os
import socket
from struct import pack

from stackup.linux import process
from stackup.linux.syscall import buffer, call

_RESOLVE_IN_ROOT = 0x10


def socket_in(pidfd: int, family: int) -> socket.socket:
    """A TCP socket in the network namespace of the process. It stays there; the calling thread comes back at once."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        process.setns(pidfd, process.CLONE_NEWNET)
        try:
            return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        finally:
            try:
                process.setns(home, process.CLONE_NEWNET)
            except OSError:
                os.abort()  # lost in a container's network: another process takes over
    finally:
        os.close(home)


def exists_in(pid: int, path: str) -> bool:
    """Whether the process has ``path``; symlinks lead where they lead for it. Raises OSError when it is gone."""
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    how = pack("<QQQ", os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    try:
        os.close(call("openat2", root, os.fsencode(path) + b"\0", buffer(how), len(how)))
    except (FileNotFoundError, NotADirectoryError):
        return False
    finally:
        os.close(root)
    return True
