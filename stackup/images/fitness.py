"""Whether this machine can stack layers where the state lies. Raises HostUnfit with the way out."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from stackup.base.errors import HostUnfit
from stackup.base.values import frozen

# File systems on which the kernel refuses an overlay's upper directory.
_UNFIT = ("overlay", "nfs", "nfs4", "cifs", "smb3", "vfat", "exfat", "ecryptfs", "9p", "squashfs", "iso9660")


@frozen
class Mount:
    """One line of /proc/self/mountinfo. ``root`` is the part of the file system that shows at ``point``."""

    device: str
    root: str
    point: str
    kind: str


def _unescape(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def parse_mounts(text: str) -> tuple[Mount, ...]:
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        found.append(Mount(fields[2], _unescape(fields[3]), _unescape(fields[4]), right.split(" ")[0]))
    return tuple(found)


def mounts() -> tuple[Mount, ...]:
    return parse_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))


def below(path: str, top: str) -> bool:
    """Whether ``path`` is ``top`` or lies in it; both absolute and without links."""
    return path == top or path.startswith(top.rstrip("/") + "/")


def mount_of(path: Path, table: tuple[Mount, ...]) -> Mount | None:
    """The mount that shows at ``path``; the last of several on one point is the visible one."""
    real = os.path.realpath(path)
    covering = [mount for mount in table if below(real, mount.point)]
    longest = max((len(mount.point) for mount in covering), default=0)
    return next((mount for mount in reversed(covering) if len(mount.point) == longest), None)


def check_storage(path: Path, table: tuple[Mount, ...] | None = None) -> None:
    """``path`` is an existing directory where upper directories are to lie."""
    mount = mount_of(path, mounts() if table is None else table)
    if mount and (mount.kind in _UNFIT or mount.kind.startswith("fuse.")):
        raise HostUnfit(
            f"cannot keep containers in {path}: it lies on {mount.kind} (mounted at {mount.point}), which overlayfs "
            "does not accept for writable layers",
            hint="Set STACKUP_ROOT to a directory on ext4, xfs, btrfs or tmpfs, e.g. STACKUP_ROOT=/mnt/disk/stackup.",
        )


@cache
def _kernel_has_overlay() -> bool:
    def listed() -> bool:
        return "\toverlay\n" in Path("/proc/filesystems").read_text(encoding="ascii")

    if listed():
        return True
    program = shutil.which("modprobe")
    if program and os.geteuid() == 0:
        subprocess.run([program, "-q", "overlay"], check=False)
    return listed()


def check_kernel() -> None:
    if not _kernel_has_overlay():
        raise HostUnfit(
            "cannot stack image layers: this kernel has no overlayfs",
            hint="Load or install the kernel module 'overlay' (CONFIG_OVERLAY_FS).",
        )


def inside(path: Path, tree: Path, table: tuple[Mount, ...] | None = None) -> bool:
    """Whether ``path`` lies in the directory ``tree``, also when it is reached through a bind mount of a part of it."""
    real, top = os.path.realpath(path), os.path.realpath(tree)
    if below(real, top):
        return True
    table = mounts() if table is None else table
    here, there = mount_of(Path(real), table), mount_of(Path(top), table)
    if not here or not there or here.device != there.device:
        return False
    return below(_internal(real, here), _internal(top, there))


def _internal(path: str, mount: Mount) -> str:
    """The path as the file system itself counts it."""
    return os.path.normpath(mount.root + "/" + path[len(mount.point.rstrip("/")) :])
