"""A running container from outside of it: sockets in its network, files below its root, its mounts."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from _socket import socket as Socket
from collections.abc import Callable
from struct import pack, unpack_from
from typing import TypeVar

from stackup.linux import mounts, process
from stackup.linux.mountoptions import MountOptions
from stackup.linux.netlink import open_socket
from stackup.linux.syscall import buffer, call

T = TypeVar("T")

_RESOLVE_IN_ROOT = 0x10
_CLONE_FS = 0x200
_SIOCGIFINDEX = 0x8933


def socket_in(pidfd: int, family: int) -> socket.socket:
    """A TCP socket in the network namespace of the process. It stays there; the calling thread comes back at once."""
    kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    return _made_in(pidfd, lambda: socket.socket(family, kind))


def _made_in(pidfd: int, make: Callable[[], T]) -> T:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        process.setns(pidfd, process.CLONE_NEWNET)
        try:
            return make()
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


def netlink_in(pidfd: int) -> Socket:
    """An rtnetlink socket of the process' network namespace."""
    return _made_in(pidfd, open_socket)


def link_index(sock: Socket, name: str) -> int:
    """Of a link in the network namespace that ``sock`` belongs to. Raises OSError."""
    request = bytearray(pack("16sI20x", name.encode(), 0))
    fcntl.ioctl(sock, _SIOCGIFINDEX, request)
    index: int = unpack_from("I", request, 16)[0]
    return index


def mount_in(pidfd: int, source: str, target: str, options: MountOptions, *, replace: bool = False) -> None:
    """Binds ``source`` of the host on ``target`` of a running container. ``replace``: what is mounted there goes first.

    Raises OSError. The work is a thread's that ends with it: it never comes back from the container's mounts, and does
    nothing there but system calls, for whatever Python imported there would be the container's.
    """
    tree = mounts.clone_tree(source, recursive=options.recursive)
    failed: list[OSError] = []

    def work() -> None:
        try:
            process.unshare(_CLONE_FS)
            process.setns(pidfd, process.CLONE_NEWNS)
            if replace:
                mounts.unmount(target)
            if options.recursive_attributes:
                mounts.set_attributes(tree, options.recursive_attributes, recursive=True)
            mounts.attach_with(os.dup(tree), target, options.attributes)
            mounts.set_propagation(target, options.propagation or mounts.MS_PRIVATE | mounts.MS_REC)
        except OSError as error:
            failed.append(error)

    try:
        thread = threading.Thread(target=work, name="mount")
        thread.start()
        thread.join()
    finally:
        os.close(tree)
    if failed:
        raise failed[0]
