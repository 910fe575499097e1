"""Process descriptors: signal the process that was meant, and learn how it ended."""

from __future__ import annotations

import fcntl
from struct import pack, unpack_from

from stackup.linux import features
from stackup.linux.cgroups import read_bytes
from stackup.linux.syscall import call

# _IOWR(0xFF, 11, struct pidfd_info) with the structure's first published size, include/uapi/linux/pidfd.h (Linux 6.13).
_PIDFD_GET_INFO = 0xC040FF0B
_INFO_EXIT = 1 << 3


def open_pid(pid: int) -> int:
    """Raises ProcessLookupError when there is no such process (any more)."""
    return call("pidfd_open", pid, 0)


def exit_status(pidfd: int) -> int | None:
    """The wait status of a process that anybody has reaped. None: it lives, is a zombie, or the kernel is old."""
    if not features.usable(features.PIDFD_INFO):
        return None
    block = bytearray(pack("Q", _INFO_EXIT) + bytes(56))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, block)
    except OSError:
        return None
    if not unpack_from("Q", block)[0] & _INFO_EXIT:
        return None
    status: int = unpack_from("i", block, 60)[0]
    return status


def zombie_status(pid: int) -> int | None:
    """The wait status that a zombie shows in /proc/PID/stat (root only), or None."""
    fields = stat_fields(pid)
    return int(fields[49]) if fields and fields[0] == "Z" else None


def start_time(pid: int) -> int:
    """Clock ticks since boot; 0 when there is no such process. With the pid it names a process for good."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else 0


def stat_fields(pid: int) -> list[str]:
    """/proc/PID/stat from the state on (field 3 of proc(5)); empty when there is no such process."""
    try:
        return read_bytes(f"/proc/{pid}/stat").decode("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
