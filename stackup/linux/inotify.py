"""inotify(7): being told when files are written or taken away. Also of files of control groups: whatever a process
writes there by write(2) is told of, only what the kernel changes by itself is not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from struct import calcsize, unpack_from

from stackup.linux.syscall import call

MODIFY, MOVED_FROM, DELETE = 0x2, 0x40, 0x200
OVERFLOW, IGNORED = 0x4000, 0x8000
_HEADER = "iIII"


def open_queue() -> int:
    """A descriptor that is readable when there is something to tell. Raises OSError, e.g. EMFILE: fs.inotify's limits
    are per user."""
    return call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)


def watch(queue: int, path: str, mask: int) -> int:
    """The number by which ``read`` tells of ``path``."""
    return call("inotify_add_watch", queue, os.fsencode(path) + b"\0", mask)


def unwatch(queue: int, number: int) -> None:
    """Nothing happens when the file is gone already."""
    try:
        call("inotify_rm_watch", queue, number)
    except OSError:
        return


def read(queue: int) -> Iterator[tuple[int, int, str]]:
    """(number, mask, name inside a watched directory) of all that happened; number -1 with OVERFLOW: something did."""
    try:
        data = os.read(queue, 1 << 16)
    except BlockingIOError:
        return
    offset = 0
    while offset < len(data):
        number, mask, _cookie, length = unpack_from(_HEADER, data, offset)
        offset += calcsize(_HEADER)
        yield number, mask, os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
        offset += length
