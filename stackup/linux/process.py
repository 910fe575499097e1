"""Processes: clone3 into namespaces, setns, prctl, identities, limits, the title shown by ps."""

from __future__ import annotations

import ctypes
import resource
from struct import pack, unpack

from stackup.linux.syscall import address, buffer, call, prctl

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
NAMESPACE_FLAGS = {
    "mount": CLONE_NEWNS,
    "cgroup": CLONE_NEWCGROUP,
    "uts": CLONE_NEWUTS,
    "ipc": CLONE_NEWIPC,
    "user": CLONE_NEWUSER,
    "pid": CLONE_NEWPID,
    "network": CLONE_NEWNET,
}

_CLONE_PIDFD = 0x1000
_CLONE_INTO_CGROUP = 0x200000000
_SIGCHLD = 17

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_KEYCTL_JOIN_SESSION_KEYRING = 1
_CLOSE_RANGE_CLOEXEC = 4
_INFINITY = (1 << 64) - 1


def clone3(flags: int, cgroup_fd: int = -1) -> tuple[int, int]:
    """Forks: (0, -1) in the child, (pid, pidfd) in the parent. For single-threaded processes only.

    No after-fork hooks run and glibc's cached thread id goes stale, so the child must execute a program soon.
    """
    pidfd = buffer(bytes(4))
    into = 0
    if cgroup_fd >= 0:
        flags, into = flags | _CLONE_INTO_CGROUP, cgroup_fd
    block = buffer(pack("11Q", flags | _CLONE_PIDFD, address(pidfd), 0, 0, _SIGCHLD, 0, 0, 0, 0, 0, into))
    pid = call("clone3", block, 88)
    return (pid, unpack("i", pidfd.raw)[0]) if pid else (0, -1)


def unshare(flags: int) -> None:
    call("unshare", flags)


def setns(fd: int, flags: int = 0) -> None:
    """``fd``: a namespace file, or a pidfd with the ``flags`` of all namespaces to enter at once."""
    call("setns", fd, flags)


def die_with_parent(signum: int) -> None:
    """0 takes it back. The kernel forgets it by itself when identities change."""
    prctl(_PR_SET_PDEATHSIG, signum)


def set_dumpable(dumpable: bool) -> None:
    """Not dumpable: nobody without CAP_SYS_PTRACE looks into /proc/PID. Inherited by fork, reset by exec."""
    prctl(_PR_SET_DUMPABLE, int(dumpable))


def set_keep_capabilities(keep: bool) -> None:
    prctl(_PR_SET_KEEPCAPS, int(keep))


def set_no_new_privileges() -> None:
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def become_subreaper() -> None:
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_name(name: str) -> None:
    """The 15 bytes of /proc/PID/comm."""
    block = buffer(name.encode()[:15] + b"\0")
    prctl(_PR_SET_NAME, address(block))


def set_title(title: str) -> None:
    """What ps shows. Overwrites the argument area in place; it is cut to the room that the real arguments took."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    room = end - start
    if not start or room < 2:
        return
    text = title.encode()[: room - 2]
    # A last byte that is not NUL tells the kernel that the area holds one string: see get_mm_cmdline in fs/proc/base.c.
    ctypes.memmove(start, text + b"\0" * (room - len(text) - 1) + b".", room)
    set_name(title.split(" ", 1)[0])


def close_on_exec_from(first: int) -> None:
    call("close_range", first, 0x7FFFFFFF, _CLOSE_RANGE_CLOEXEC)


def close_from(first: int) -> None:
    call("close_range", first, 0x7FFFFFFF, 0)


# SIGHUP, SIGINT, SIGTERM, SIGCHLD, and SIGPIPE and SIGXFSZ, which Python ignores.
_HANDLED = (1, 2, 13, 15, 17, 25)


def default_signals() -> None:
    """For children, before they execute a program: handlers go with it, but what is ignored stays ignored."""
    for number in _HANDLED:
        call("rt_sigaction", number, buffer(bytes(32)), None, 8)


def reset_internal_signals() -> None:
    """The two that glibc keeps for itself: inherited as ignored, they stay so, for signal() refuses to touch them."""
    for number in (32, 33):
        call("rt_sigaction", number, buffer(bytes(32)), None, 8)


def new_session_keyring(name: str) -> None:
    """Keyrings have no namespace: without one of its own a container shares the launcher's."""
    call("keyctl", _KEYCTL_JOIN_SESSION_KEYRING, name.encode())


def set_hostname(name: str) -> None:
    call("sethostname", name.encode(), len(name.encode()))


def set_domainname(name: str) -> None:
    call("setdomainname", name.encode(), len(name.encode()))


_open_files: list[tuple[int, int]] = []


def raise_open_files() -> None:
    """As many descriptors as this machine allows: several are held for each container."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    _open_files.append((soft, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def restore_open_files() -> None:
    """For children: the soft limit is low for the sake of programs that call select(2)."""
    if _open_files:
        resource.setrlimit(resource.RLIMIT_NOFILE, _open_files[0])


def set_rlimit(name: str, soft: int, hard: int) -> None:
    """``name`` as in RLIMIT_NOFILE; 2**64 - 1 is infinity."""
    which = getattr(resource, name, None)
    if which is None:
        raise OSError(22, f"{name} is not known here")
    call("prlimit64", 0, which, buffer(pack("QQ", soft & _INFINITY, hard & _INFINITY)), None)
