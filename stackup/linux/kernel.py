"""The narrow door: every kernel effect that the child of a container start has, as one object.

Operations call ``kernel.…`` and nothing else, so that ``Recorder`` (its twin) shows what they would do, without root.
"""

from __future__ import annotations

import os
from _socket import (
    AF_INET,
    SO_REUSEADDR,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    if_nametoindex,
)
from _socket import socket as Socket
from stat import S_IFMT, S_IFREG, S_ISDIR

from stackup.linux import capabilities, mounts, netlink, nfnetlink, process, seccompfilter, terminal


class Kernel:
    # mounts
    filesystem = staticmethod(mounts.filesystem)
    clone_tree = staticmethod(mounts.clone_tree)
    clone_tree_of = staticmethod(mounts.clone_tree_of)
    attach = staticmethod(mounts.attach_with)
    set_attributes = staticmethod(mounts.set_attributes)
    remount = staticmethod(mounts.remount)
    mount = staticmethod(mounts.mount)
    set_propagation = staticmethod(mounts.set_propagation)
    pivot_root_here = staticmethod(mounts.pivot_root_here)
    # processes
    unshare = staticmethod(process.unshare)
    setns = staticmethod(process.setns)
    die_with_parent = staticmethod(process.die_with_parent)
    set_dumpable = staticmethod(process.set_dumpable)
    set_keep_capabilities = staticmethod(process.set_keep_capabilities)
    set_no_new_privileges = staticmethod(process.set_no_new_privileges)
    new_session_keyring = staticmethod(process.new_session_keyring)
    close_on_exec_from = staticmethod(process.close_on_exec_from)
    set_hostname = staticmethod(process.set_hostname)
    set_domainname = staticmethod(process.set_domainname)
    set_rlimit = staticmethod(process.set_rlimit)
    drop_bounding = staticmethod(capabilities.drop_bounding)
    set_capabilities = staticmethod(capabilities.set_capabilities)
    raise_ambient = staticmethod(capabilities.raise_ambient)
    load_filter = staticmethod(seccompfilter.load_filter)
    setsid = staticmethod(os.setsid)
    setgroups = staticmethod(os.setgroups)
    setresgid = staticmethod(os.setresgid)
    setresuid = staticmethod(os.setresuid)
    getpid = staticmethod(os.getpid)
    execve = staticmethod(os.execve)
    # files
    open = staticmethod(os.open)
    close = staticmethod(os.close)
    dup2 = staticmethod(os.dup2)
    chdir = staticmethod(os.chdir)
    fchdir = staticmethod(os.fchdir)
    umask = staticmethod(os.umask)
    mkdir = staticmethod(os.mkdir)
    makedirs = staticmethod(os.makedirs)
    mknod = staticmethod(os.mknod)
    chown = staticmethod(os.chown)
    fchown = staticmethod(os.fchown)
    fchmod = staticmethod(os.fchmod)
    symlink = staticmethod(os.symlink)
    access = staticmethod(os.access)
    # terminals and network
    open_terminal = staticmethod(terminal.open_terminal)
    set_size = staticmethod(terminal.set_size)
    make_controlling = staticmethod(terminal.make_controlling)
    netlink_socket = staticmethod(netlink.open_socket)
    link_index = staticmethod(if_nametoindex)
    redirect_dns = staticmethod(nfnetlink.redirect_dns)

    @staticmethod
    def send_links(socket: Socket, batch: netlink.Batch) -> None:
        batch.send(socket)

    @staticmethod
    def write(path: str, text: str, dir_fd: int | None = None) -> None:
        """Into an existing file; a last symlink is refused."""
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=dir_fd)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    @staticmethod
    def real_path(path: str) -> str:
        """``path`` without symlinks, as far as it exists."""
        return os.path.realpath(path)

    @staticmethod
    def file_kind(fd: int) -> tuple[int, int, int]:
        """(device of the file system, S_IFMT bits, device number of a node)."""
        found = os.fstat(fd)
        return found.st_dev, S_IFMT(found.st_mode), found.st_rdev

    @staticmethod
    def path_mode(path: str) -> int:
        """st_mode following symlinks; 0 when there is nothing."""
        try:
            return os.stat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return 0

    @staticmethod
    def make_mount_point(path: str, directory: bool) -> None:
        """Makes ``path`` and what is missing above it; ``path`` has no symlinks in it."""
        if directory:
            os.makedirs(path, 0o755, exist_ok=True)
            return
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        os.mknod(path, S_IFREG | 0o644)

    @staticmethod
    def forget_volatile(work: str) -> None:
        """An upper layer that was mounted "volatile" before is marked, so that nobody mounts it again unasked."""
        mark = f"{work}/work/incompat/volatile"
        try:
            os.unlink(f"{mark}/dirty")
            os.rmdir(mark)
            os.rmdir(os.path.dirname(mark))
        except FileNotFoundError:
            return

    @staticmethod
    def listen_dns(port: int) -> tuple[Socket, Socket]:
        """UDP and TCP sockets on the resolver's address in the current network namespace."""
        udp = Socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
        tcp = Socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
        udp.bind((nfnetlink.DNS_ADDRESS, port))
        tcp.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        tcp.bind((nfnetlink.DNS_ADDRESS, port))
        tcp.listen(64)
        return udp, tcp


def is_directory(kind: int) -> bool:
    return S_ISDIR(kind)
