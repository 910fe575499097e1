"""Looks into stacked layers without mounting them: single files, and the user that a container runs as.

The kernel's rules are followed (topmost wins, whiteouts and opaque directories hide, directories merge), and symbolic
links stay inside the image: an absolute one starts at the image's own root.
"""

from __future__ import annotations

import errno
import os
import stat

from stackup.base.errors import ContainerFault
from stackup.base.values import frozen
from stackup.images.unpackdirs import OPAQUE
from stackup.linux.overlay import Overlay

_MAX_LINKS = 40
_MAX_FILE = 16 << 20


@frozen
class Place:
    """Where a path of the image lies on the host: its directories (several, if merged) or its one file."""

    path: str  # normal form inside the image, links resolved
    paths: tuple[str, ...]  # host paths, topmost first; empty: it does not exist
    mode: int = 0

    @property
    def is_directory(self) -> bool:
        return bool(self.paths) and stat.S_ISDIR(self.mode)


def is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, OPAQUE, follow_symlinks=False) in (b"y", b"x")
    except OSError:
        return False


def _child(directories: tuple[str, ...], name: str) -> tuple[tuple[str, ...], int]:
    """What ``name`` is in merged ``directories``: host paths, topmost first, and the mode of the topmost."""
    found: list[str] = []
    mode = 0
    for directory in directories:
        path = f"{directory}/{name}"
        try:
            info = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
            break
        if not found:
            found, mode = [path], info.st_mode
            if not stat.S_ISDIR(mode):
                break
        elif stat.S_ISDIR(info.st_mode):
            found.append(path)
        else:
            break
        if is_opaque(path):
            break
    return tuple(found), mode


class Stack:
    """The file system that ``overlays`` would mount, seen before it is mounted. ``upper`` directories count too."""

    def __init__(self, overlays: tuple[Overlay, ...]) -> None:
        self._mounts = {
            overlay.target: ((overlay.upper,) if overlay.upper and os.path.isdir(overlay.upper) else ())
            + overlay.lowers
            for overlay in overlays
        }

    def find(self, path: str, *, follow: bool = True) -> Place:
        """``follow``: resolve the last component too, if it is a link. Raises OSError(ELOOP) for link cycles."""
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        here, links = "/", 0
        paths, mode = self._mounts["/"], stat.S_IFDIR
        trail = [(here, paths, mode)]
        while todo:
            name = todo.pop()
            if name == "..":
                if len(trail) > 1:
                    trail.pop()
                here, paths, mode = trail[-1]
                continue
            below = (here.rstrip("/") or "") + "/" + name
            if not stat.S_ISDIR(mode):
                return Place(below, ())
            if below in self._mounts:
                found, kind = self._mounts[below], stat.S_IFDIR
            else:
                found, kind = _child(paths, name)
            if found and stat.S_ISLNK(kind) and (todo or follow):
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                target = os.readlink(found[0])
                todo.extend(part for part in reversed(target.split("/")) if part not in ("", "."))
                if target.startswith("/"):
                    del trail[1:]
                here, paths, mode = trail[-1]
                continue
            here, paths, mode = below, found, kind
            if not found:
                return Place("/".join([here, *reversed(todo)]), ())
            trail.append((here, paths, mode))
        return Place(here, paths, mode)

    def child(self, directory: Place, name: str) -> Place:
        """An entry of a merged directory, links not followed."""
        path = f"{directory.path.rstrip('/')}/{name}"
        if path in self._mounts:
            return Place(path, self._mounts[path], stat.S_IFDIR)
        return Place(path, *_child(directory.paths, name))

    def read(self, path: str) -> bytes | None:
        place = self.find(path)
        if not place.paths or not stat.S_ISREG(place.mode):
            return None
        with open(place.paths[0], "rb") as file:
            return file.read(_MAX_FILE)

    def names(self, place: Place) -> list[str]:
        """Names in a merged directory, sorted."""
        seen: dict[str, bool] = {}
        for directory in place.paths:
            for entry in os.scandir(directory):
                if entry.name not in seen:
                    info = entry.stat(follow_symlinks=False)
                    seen[entry.name] = not (stat.S_ISCHR(info.st_mode) and info.st_rdev == 0)
            if is_opaque(directory):
                break
        top = place.path.rstrip("/") + "/"
        for target in self._mounts:
            if target != "/" and target.startswith(top) and "/" not in target[len(top) :]:
                seen[target[len(top) :]] = True
        return sorted(name for name, shown in seen.items() if shown)


def read_file(overlays: tuple[Overlay, ...], path: str) -> bytes | None:
    """The content of a regular file in the stacked image (at most 16 MiB of it), or None."""
    return Stack(overlays).read(path)


@frozen
class User:
    uid: int
    gid: int
    groups: tuple[int, ...]  # supplementary ones, without ``gid``
    home: str
    name: str = ""


def _lines(data: bytes | None, fields: int) -> list[list[str]]:
    rows = [line.split(":") for line in (data or b"").decode("utf-8", "surrogateescape").splitlines()]
    return [row for row in rows if len(row) >= fields]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) < 2**32 - 1 else None


def resolve_user(overlays: tuple[Overlay, ...], text: str, group_add: tuple[str, ...] = ()) -> User:
    """``text``: "", "name", "uid", "name:group", "uid:gid" in any mix, looked up in the image's own files.

    As runc does: a number need not be in /etc/passwd; without a group given, the user's own and supplementary groups
    count; with one, only that. Raises ContainerFault for unknown names.
    """
    stack = Stack(overlays)
    accounts = _lines(stack.read("/etc/passwd"), 7)
    groups = _lines(stack.read("/etc/group"), 3)
    wanted, _, wanted_group = text.partition(":")
    wanted = wanted or "0"
    number = _number(wanted)
    account = next((row for row in accounts if row[0] == wanted), None)
    if account is None and number is not None:
        account = next((row for row in accounts if _number(row[2]) == number), None)
    if account is None and number is None:
        raise ContainerFault(
            f"cannot run as user '{wanted}': the image's /etc/passwd has no such user",
            step="user",
            path="/etc/passwd",
            about=".user",
        )
    uid = _number(account[2]) if account else number
    gid = (_number(account[3]) or 0) if account else 0
    name = account[0] if account else ""
    extra: list[int] = []
    if wanted_group:
        gid = _group(groups, wanted_group, ".user")
    elif name:
        for row in groups:
            member_of = _number(row[2])
            if len(row) > 3 and name in row[3].split(",") and member_of is not None and member_of != gid:
                extra.append(member_of)
    extra += [_group(groups, item, f".group_add.{index}") for index, item in enumerate(group_add)]
    home = (account[5] if account else "") or "/"
    return User(uid or 0, gid, tuple(dict.fromkeys(extra)), home, name)


def _group(groups: list[list[str]], text: str, about: str) -> int:
    row = next((row for row in groups if row[0] == text), None)
    number = _number(row[2]) if row else _number(text)
    if number is None:
        raise ContainerFault(
            f"cannot use group '{text}': the image's /etc/group has no such group",
            step="user",
            path="/etc/group",
            about=about,
        )
    return number
