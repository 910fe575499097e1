"""Builds one version of the private layer below the image ``host``: everything but /usr and its kin."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from stackup.images import hostrules
from stackup.images.hostcopy import Copier, stamp
from stackup.images.hoststate import LINK_NAMES

# Fresh directories with their modes; a copy of the host's own is never wanted here.
_FRESH = {
    "boot": 0o755, "dev": 0o755, "home": 0o755, "media": 0o755, "mnt": 0o755, "proc": 0o555, "root": 0o700,
    "run": 0o755, "run/lock": 0o1777, "srv": 0o755, "sys": 0o555, "tmp": 0o1777, "var": 0o755,
    "var/backups": 0o755, "var/cache": 0o755, "var/lib": 0o755, "var/lib/misc": 0o755, "var/local": 0o2775,
    "var/log": 0o755, "var/mail": 0o2775, "var/opt": 0o755, "var/spool": 0o755, "var/tmp": 0o1777,
}  # fmt: skip

# What package managers and the tools that packages call keep: without it, adding a package would disturb what is there.
_PACKAGE_STATE = (
    "var/lib/dpkg", "var/lib/apt/extended_states", "var/lib/apt/lists", "var/lib/ucf", "var/lib/pam",
    "var/lib/python", "var/lib/shells.state", "var/lib/systemd/deb-systemd-helper-enabled",
    "var/lib/systemd/deb-systemd-user-helper-enabled", "var/lib/xml-core", "var/lib/sgml-base",
    "var/lib/emacsen-common", "var/lib/dictionaries-common",
    "var/lib/rpm", "var/lib/dnf", "var/lib/pacman", "var/lib/alternatives",
)  # fmt: skip
_STATE_DIRECTORIES = (
    "var/lib/dpkg", "var/lib/dpkg/updates", "var/lib/dpkg/parts", "var/lib/apt", "var/lib/apt/lists",
    "var/lib/apt/lists/partial", "var/lib/apt/lists/auxfiles", "var/cache/apt", "var/cache/apt/archives",
    "var/cache/apt/archives/partial", "var/cache/debconf", "var/cache/ldconfig", "var/log/apt",
)  # fmt: skip
_ADMINISTRATORS = ("usr/local", "usr/etc", "usr/src")
_EMPTY_FILES = ("etc/machine-id", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/fstab")


def build(root: Path, target: Path, mount_targets: tuple[str, ...], skip: frozenset[tuple[int, int]]) -> list[str]:
    """Fills the empty directory ``target`` with "root" (for /) and "mask" (above each of ``mount_targets``).

    Answers notes for the user: what was too large to bring along.
    """
    inner = target / "root"
    inner.mkdir(mode=0o755)
    os.chmod(inner, 0o755)
    for name, mode in _FRESH.items():
        make_directory(inner / name, mode)
    for name in LINK_NAMES:
        if (root / name).is_symlink():
            os.symlink(os.readlink(root / name), inner / name)
    for name in mount_targets:
        make_directory(inner / name.strip("/"), 0o755)
    _links(root, inner)
    Copier(skip=skip, redact=True).tree(root, "etc", inner)
    _finish_etc(inner)
    large = Copier(share=True, skip=skip)
    for name in _PACKAGE_STATE:
        large.tree(root, name, inner)
    large.tree(root, "opt", inner)
    make_directory(inner / "opt", 0o755)
    _package_directories(root, inner)
    for name in ("etc/skel/.bashrc", "etc/skel/.profile"):
        if (inner / name).is_file() and not (inner / name).is_symlink():
            (inner / "root" / Path(name).name).write_bytes((inner / name).read_bytes())
    for name in mount_targets:
        _mask(root, name, target / "mask" / (name.strip("/").replace("/", "+")), skip, mount_targets)
    return [f"/{path} is too large to be copied and not fit to be shared" for path in large.left_out]


def make_directory(path: Path, mode: int) -> None:
    path.mkdir(parents=True, exist_ok=True)
    os.chmod(path, mode)


def _links(root: Path, inner: Path) -> None:
    """/var/run and /var/lock are links into /run on every current distribution."""
    for name, default in (("var/run", "/run"), ("var/lock", "/run/lock")):
        there = root / name
        os.symlink(os.readlink(there) if there.is_symlink() else default, inner / name)


def _finish_etc(inner: Path) -> None:
    etc = inner / "etc"
    make_directory(etc, 0o755)
    for name in _EMPTY_FILES:
        (inner / name).unlink(missing_ok=True)
        (inner / name).touch(mode=0o644)
    if not (etc / "mtab").is_symlink():
        os.symlink("../proc/self/mounts", etc / "mtab")
    passwd, group = _content(etc / "passwd"), _content(etc / "group")
    shadow_group = next((int(line.split(b":")[2]) for line in group.splitlines() if line.startswith(b"shadow:")), 0)
    for path, data in ((etc / "shadow", hostrules.shadow(passwd)), (etc / "gshadow", hostrules.group_shadow(group))):
        path.write_bytes(data)
        os.chmod(path, 0o640)
        if os.geteuid() == 0:
            os.chown(path, 0, shadow_group)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else b""


def _package_directories(root: Path, inner: Path) -> None:
    """Directories below /var that packages own (/var/log/nginx, /var/lib/redis ...), empty, as they are on the host."""
    names = {*_STATE_DIRECTORIES, *(name for name in package_paths(root) if name.startswith("var/"))}
    for name in sorted(names):
        source, place = root / name, inner / name
        try:
            info = os.lstat(source)
        except OSError:
            if name in _STATE_DIRECTORIES and name.startswith("var/cache"):
                make_directory(place, 0o755)
            continue
        above = place.parent
        if not stat.S_ISDIR(info.st_mode) or place.exists() or place.is_symlink() or not above.is_dir():
            continue
        if above.is_symlink() or hostrules.never(name):
            continue
        place.mkdir()
        stamp(str(place), info)


def package_paths(root: Path) -> Iterator[str]:
    """Every path that a Debian package brought, relative to the root."""
    info = root / "var/lib/dpkg/info"
    if not info.is_dir():
        return
    for path in info.glob("*.list"):
        for line in path.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            yield line.strip("/")


def _mask(
    root: Path, target: str, mask: Path, skip: frozenset[tuple[int, int]], mount_targets: tuple[str, ...]
) -> None:
    """Hides what nobody could read and no package brought: a key in /usr/local/etc, say. Whiteouts above the host's
    directory; packages' own files stay, they are the same on every machine."""
    base = target.strip("/")
    mask.mkdir(parents=True)
    hidden = _hidden(root, base, skip, mount_targets)
    for path in sorted(hidden.difference(package_paths(root)) if hidden else ()):
        place = mask / path[len(base) + 1 :]
        place.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(place, stat.S_IFCHR, 0)
    if target == "/usr" and (root / "usr/sbin").is_dir() and (root / "var/lib/dpkg").is_dir():
        # Installing a package in an image must not start its service (Debian's invoke-rc.d asks this file).
        (mask / "sbin").mkdir(exist_ok=True)
        (mask / "sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        os.chmod(mask / "sbin/policy-rc.d", 0o755)
    for directory, _, _ in os.walk(mask, topdown=False):
        relative = os.path.relpath(directory, mask)
        stamp(directory, os.stat(root / base / relative))


def _hidden(root: Path, base: str, skip: frozenset[tuple[int, int]], mount_targets: tuple[str, ...]) -> set[str]:
    """Only what administrators fill is searched; to look at every file of /usr would take seconds."""
    mounts = {name.strip("/") for name in mount_targets}
    places = [place for place in _ADMINISTRATORS if place == base or place.startswith(base + "/")]
    if any(base.startswith(place + "/") for place in _ADMINISTRATORS):
        places = [base]
    found: set[str] = set()
    for place in places:
        if place in mounts - {base}:
            continue
        try:
            info = os.lstat(root / place)
        except OSError:
            continue
        if not stat.S_ISDIR(info.st_mode):
            continue
        if not hostrules.readable(info.st_mode, info.st_uid, info.st_gid) and place != base:
            found.add(place)
        else:
            found.update(_unreadable(root, place, skip, mounts))
    return found


def _unreadable(root: Path, top: str, skip: frozenset[tuple[int, int]], mounts: set[str]) -> Iterator[str]:
    todo = [top]
    while todo:
        here = todo.pop()
        try:
            entries = list(os.scandir(root / here))
        except OSError:
            continue
        for entry in entries:
            path = f"{here}/{entry.name}"
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if path in mounts:
                continue
            directory = stat.S_ISDIR(info.st_mode)
            if (info.st_dev, info.st_ino) in skip or not hostrules.readable(info.st_mode, info.st_uid, info.st_gid):
                yield path
            elif directory:
                todo.append(path)
