"""What the image ``host`` depends on, as a value: the machine's packages, and the files that it copies."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from stackup.base.values import frozen
from stackup.images import hostrules
from stackup.images.fitness import Mount, below

RULES = "1"  # to be raised when what is copied, or how, changes

# Package databases: read whole where they are text and small, else by size and time.
_DATABASES = ("var/lib/dpkg/status", "lib/apk/db/installed", "usr/lib/apk/db/installed")
_BIG_DATABASES = (
    "var/lib/rpm/rpmdb.sqlite",
    "var/lib/rpm/Packages",
    "var/lib/rpm/Packages.db",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/Packages.db",
    "var/lib/pacman/local",
)
LINK_NAMES = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_OPT_DEPTH = 2  # /opt may hold millions of files; changes deeper than this are seen with the next package change
# fmt: off
_UNREAL = frozenset((
    "proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "devpts", "mqueue", "debugfs", "tracefs", "securityfs", "pstore",
    "bpf", "configfs", "fusectl", "hugetlbfs", "efivarfs", "binfmt_misc", "autofs", "nsfs", "rpc_pipefs",
))
# fmt: on


@frozen
class HostState:
    """``packages`` decides the identity of the image and the build cache; ``version`` names the private copy."""

    packages: str
    version: str


def targets(root: Path, table: tuple[Mount, ...]) -> tuple[str, ...]:
    """Where the host's own directories are mounted, outermost first: /usr, /bin and the like where they are no links,
    and every real mount below them (it does not come along with the directory it lies in)."""
    tops = [name for name in ("usr", *LINK_NAMES) if _is_directory(root / name)]
    found = [f"/{name}" for name in tops]
    base = str(root).rstrip("/")
    for mount in table:
        inside = mount.point[len(base) :] if below(mount.point, base or "/") else ""
        if mount.kind in _UNREAL or inside in found:
            continue
        if any(inside.startswith(f"/{name}/") for name in tops) and _is_directory(Path(mount.point)):
            found.append(inside)
    return tuple(sorted(found, key=lambda path: (path.count("/"), path)))


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _stat_lines(root: Path, top: str, depth: int) -> Iterator[str]:
    """One line per file below ``top`` that the image may show; sorted, so that the order on disk does not count."""
    try:
        entries = sorted(os.scandir(root / top), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        path = f"{top}/{entry.name}"
        if hostrules.never(path):
            continue
        try:
            info = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        directory = stat.S_ISDIR(info.st_mode)
        when = 0 if directory and depth > 1 else info.st_mtime_ns
        size = 0 if directory else info.st_size
        yield f"{path}\0{info.st_mode:o}\0{info.st_uid}\0{info.st_gid}\0{size}\0{when}"
        if directory and depth > 1:
            yield from _stat_lines(root, path, depth - 1)


def _packages(root: Path) -> str:
    state = hashlib.sha256(RULES.encode())
    for name in _DATABASES:
        try:
            state.update(name.encode() + b"\0" + (root / name).read_bytes())
        except OSError:
            continue
    for name in _BIG_DATABASES:
        try:
            info = os.stat(root / name)
            state.update(f"{name}\0{info.st_size}\0{info.st_mtime_ns}".encode())
        except OSError:
            continue
    try:
        state.update((root / "etc/os-release").read_bytes())
    except OSError:
        pass
    return state.hexdigest()[:32]


def read_state(root: Path, mount_targets: tuple[str, ...]) -> HostState:
    """Some milliseconds: /etc is walked, /opt and /usr/local to a small depth."""
    packages = _packages(root)
    state = hashlib.sha256(f"{RULES}\0{packages}\0{','.join(mount_targets)}".encode())
    for top, depth in (("etc", 16), ("opt", _OPT_DEPTH), ("usr/local", 2)):
        for line in _stat_lines(root, top, depth):
            state.update(os.fsencode(line) + b"\n")
    for name in ("var/lib/dpkg/status", "var/lib/apt/extended_states"):
        try:
            state.update(str(os.stat(root / name).st_mtime_ns).encode())
        except OSError:
            continue
    return HostState(packages, state.hexdigest()[:32])
