"""The mount calls of Linux 5.2 and later (fsopen, open_tree, move_mount, mount_setattr) and mount(2)."""

from __future__ import annotations

import os
from struct import pack

from stackup.linux import features, process
from stackup.linux.syscall import AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, buffer, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

RDONLY, NOSUID, NODEV, NOEXEC = 1, 2, 4, 8
ATIME_MASK, NOATIME, STRICTATIME, NODIRATIME = 0x70, 0x10, 0x20, 0x80
NOSYMFOLLOW = 0x200000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOSYMFOLLOW, MS_NOATIME, MS_NODIRATIME = 256, 1024, 2048
MS_BIND, MS_REC, MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 4096, 16384, 1 << 17, 1 << 18, 1 << 19, 1 << 20
MS_RELATIME, MS_STRICTATIME = 1 << 21, 1 << 24
MNT_DETACH = 2

_OPEN_TREE_CLONE = 1
_O_CLOEXEC = 0x80000
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0, 1, 6
_ENOSYS = 38

_AS_MS = (
    (RDONLY, MS_RDONLY),
    (NOSUID, MS_NOSUID),
    (NODEV, MS_NODEV),
    (NOEXEC, MS_NOEXEC),
    (NOATIME, MS_NOATIME),
    (STRICTATIME, MS_STRICTATIME),
    (NODIRATIME, MS_NODIRATIME),
    (NOSYMFOLLOW, MS_NOSYMFOLLOW),
)


def filesystem(kind: str, options: Iterable[tuple[str, str | None]] = (), attributes: int = 0, source: str = "") -> int:
    """A new, detached mount. The error carries the kernel's own sentence where it left one."""
    fd = call("fsopen", kind.encode(), 1)
    try:
        call("fsconfig", fd, _FSCONFIG_SET_STRING, b"source", (source or kind).encode(), 0)
        for key, value in options:
            if value is None:
                call("fsconfig", fd, _FSCONFIG_SET_FLAG, key.encode(), None, 0)
            else:
                call("fsconfig", fd, _FSCONFIG_SET_STRING, key.encode(), value.encode(), 0)
        call("fsconfig", fd, _FSCONFIG_CMD_CREATE, None, None, 0)
        return call("fsmount", fd, 1, attributes)
    except OSError as error:
        raise OSError(error.errno, f"{kind}: {_said(fd) or error.strerror}") from None
    finally:
        os.close(fd)


def _said(fd: int) -> str:
    try:
        lines = os.read(fd, 4096).decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "; ".join(line[2:] if line[1:2] == " " else line for line in lines)


def clone_tree(path: str, *, recursive: bool = False, dirfd: int = AT_FDCWD) -> int:
    """A detached copy of the mount(s) at ``path``; with ``path`` empty, of the file behind ``dirfd``."""
    flags = _OPEN_TREE_CLONE | _O_CLOEXEC | (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    return call("open_tree", dirfd, os.fsencode(path), flags)


def clone_tree_of(pid: int, path: str) -> int:
    """A detached copy of what another process sees mounted at ``path``. Only a process of one thread may call this.

    open_tree(2) takes only mounts of its caller's namespace, so it is entered meanwhile; root and current directory,
    which setns(2) replaces, are put back.
    """
    held = [os.open(place, os.O_PATH | os.O_CLOEXEC) for place in ("/", ".")]
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        process.setns(there, process.CLONE_NEWNS)
        try:
            return clone_tree(path)
        finally:
            process.setns(home, process.CLONE_NEWNS)
            os.fchdir(held[0])
            os.chroot(".")
            os.fchdir(held[1])
    finally:
        for fd in (*held, home, there):
            os.close(fd)


def set_attributes(fd: int, attributes: int, clear: int = 0, *, recursive: bool = False, propagation: int = 0) -> None:
    """On the mount behind ``fd``. Raises OSError ENOSYS before Linux 5.12."""
    if not features.usable(features.MOUNT_SETATTR):
        raise OSError(_ENOSYS, "mount_setattr")
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    if attributes & ATIME_MASK:
        clear |= ATIME_MASK
    call("mount_setattr", fd, b"", flags, buffer(pack("4Q", attributes, clear, propagation, 0)), 32)


def attach(fd: int, target: str, *, to_fd: int = -1) -> None:
    """Moves a detached mount to ``target`` (a last symlink is not followed) or onto the open file ``to_fd``."""
    if to_fd >= 0:
        call("move_mount", fd, b"", to_fd, b"", _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH)
    else:
        call("move_mount", fd, b"", AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)


def attach_with(fd: int, target: str, attributes: int, *, to_fd: int = -1, recursive: bool = False) -> None:
    """``attach`` with ``attributes`` set before, or where the kernel cannot, right after. ``fd`` is closed."""
    try:
        late = False
        if attributes:
            try:
                set_attributes(fd, attributes, recursive=recursive)
            except OSError as error:
                if error.errno != _ENOSYS:
                    raise
                late = True
        attach(fd, target, to_fd=to_fd)
        if late:
            # By the mount's own descriptor: ``target`` may be a name for what lies below it.
            remount(f"/proc/self/fd/{fd}" if to_fd >= 0 else target, attributes)
    finally:
        os.close(fd)


def remount(target: str, attributes: int) -> None:
    """Adds attributes to an attached mount through mount(2), which forgets those that it is not told again."""
    kept = os.statvfs(target).f_flag & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount(None, target, None, MS_REMOUNT | MS_BIND | kept | as_ms(attributes))


def as_ms(attributes: int) -> int:
    """MOUNT_ATTR_ bits as the flags of mount(2)."""
    return sum(flag for bit, flag in _AS_MS if attributes & bit)


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    call(
        "mount",
        os.fsencode(source) if source is not None else None,
        os.fsencode(target),
        kind.encode() if kind else None,
        flags,
        os.fsencode(data) if data is not None else None,
    )


def unmount(path: str, flags: int = MNT_DETACH) -> None:
    call("umount2", os.fsencode(path), flags)


def set_propagation(path: str, flags: int) -> None:
    """``flags``: MS_PRIVATE, MS_SLAVE, ... with MS_REC for the whole tree."""
    mount(None, path, None, flags)


def pivot_root_here() -> None:
    """Makes the current directory the root and drops the old one (pivot_root(2), "." over ".")."""
    call("pivot_root", b".", b".")
    unmount(".", MNT_DETACH)
