"""Copies one regular file with as few system calls as that takes: builds do it ten thousand times in a row."""

from __future__ import annotations

import errno
import os

from stackup.images.unpack import wanted_xattr

_SMALL = 128 << 10  # bytes that are read and written at once
_CHUNK = 1 << 30
_CANNOT_SHARE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # what has become a FIFO must not hold it up
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def copy_file(source: str, target: str, owner: tuple[int, int], mode: int, mtime_ns: int) -> os.stat_result:
    """``target`` must not exist. Extended attributes that layers keep go with it. Answers what the source was after
    its last byte was read."""
    read_from = os.open(source, _READ)
    try:
        write_to = os.open(target, _WRITE, 0o600)
        try:
            _copy_content(read_from, write_to)
            os.fchown(write_to, *owner)
            os.fchmod(write_to, mode)  # after chown, which drops setuid bits and capabilities
            for name in attributes(read_from):
                _copy_attribute(name, read_from, write_to)
            os.utime(write_to, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(write_to)
        return os.fstat(read_from)
    finally:
        os.close(read_from)


def attributes(fd: int) -> list[str]:
    """Names of the extended attributes that layers keep, sorted."""
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM, errno.EACCES):  # a file system that has none
            return []
        raise
    return sorted(filter(wanted_xattr, names)) if names else []


def _copy_content(read_from: int, write_to: int) -> None:
    data = os.read(read_from, _SMALL)
    if len(data) < _SMALL:
        while data:
            data = data[os.write(write_to, data) :]
        return
    os.lseek(read_from, 0, os.SEEK_SET)
    try:
        while os.copy_file_range(read_from, write_to, _CHUNK):  # shares the blocks where the file system can
            pass
    except OSError as error:
        if error.errno not in _CANNOT_SHARE:
            raise
        while os.sendfile(write_to, read_from, None, _CHUNK):
            pass


def _copy_attribute(name: str, read_from: int, write_to: int) -> None:
    try:
        os.setxattr(write_to, name, os.getxattr(read_from, name))
    except OSError:  # the file system of layers has none of that kind
        return
