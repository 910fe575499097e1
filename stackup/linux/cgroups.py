"""Control groups: where the hierarchies are mounted, making and removing groups in all of them, moving oneself.

A group is named by its path below every hierarchy's mount point. Standard library only; the launcher imports it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_ENABLED_FOR_CONTAINERS = ("cpu", "cpuset", "io", "memory", "pids")


class Hierarchies:
    """``v2``: mount point of the unified hierarchy or "". ``v1``: controller (or "name=systemd") to mount point."""

    __slots__ = ("_enabled", "v1", "v2")

    def __init__(self, v2: str, v1: dict[str, str]) -> None:
        self.v2 = v2
        self.v1 = v1
        self._enabled: set[str] = set()

    @classmethod
    def of_this_host(cls) -> Hierarchies:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return cls.parse(file.read())

    @classmethod
    def parse(cls, mountinfo: str) -> Hierarchies:
        v2, v1 = "", dict[str, str]()
        for line in mountinfo.splitlines():
            head, _, tail = line.partition(" - ")
            target, kind = head.split(" ")[4], tail.split(" ")[0]
            if kind == "cgroup2":
                v2 = v2 or target
            elif kind == "cgroup":
                for option in tail.split(" ")[2].split(","):
                    if option not in ("rw", "ro", "xattr", "clone_children", "release_agent"):
                        v1.setdefault(option, target)
        return cls(v2, v1)

    @property
    def unified(self) -> bool:
        """Only v2: controllers are there and nowhere else."""
        return bool(self.v2) and not self.v1

    def mount_points(self) -> tuple[str, ...]:
        """Each hierarchy once (co-mounted controllers share one)."""
        return tuple(dict.fromkeys([*self.v1.values(), *([self.v2] if self.v2 else [])]))

    def make(self, hierarchy: str, group: str) -> str:
        """The directory of ``group``, made with its parents. What an earlier run left of it is made anew on v2, where
        limits and device programs would stay and add up; unless somebody is still in there."""
        path = f"{hierarchy}/{group}"
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            if hierarchy == self.v2:
                _remove(path, [])
                os.makedirs(path, 0o755, exist_ok=True)
        except FileNotFoundError:
            os.makedirs(path, 0o755, exist_ok=True)
        return path

    def enable_controllers(self, group: str) -> None:
        """On v2: the controllers that limits need, in every group above ``group``. Does what it can, once."""
        parents = ["", *_prefixes(group)[:-1]]
        for parent in parents:
            directory = f"{self.v2}/{parent}" if parent else self.v2
            if not self.v2 or (parent in self._enabled and os.path.isdir(directory)):
                continue
            os.makedirs(directory, 0o755, exist_ok=True)
            there = read_file(f"{directory}/cgroup.controllers").split()
            enabled = read_file(f"{directory}/cgroup.subtree_control").split()
            for controller in _ENABLED_FOR_CONTAINERS:
                if controller in there and controller not in enabled:
                    try:
                        write_file(f"{directory}/cgroup.subtree_control", f"+{controller}")
                    except OSError:  # the limit that needs it names the problem
                        continue
            self._enabled.add(parent)


def _prefixes(group: str) -> list[str]:
    parts = group.split("/")
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


def move_self(hierarchies: Hierarchies, group: str, *, v2: bool = True, threads: bool = False) -> None:
    """Puts the calling process into ``group`` ("" is the root) of every hierarchy it can. ``threads``: it has several.

    On v1 a thread moves itself by ``tasks``, which takes no lock for the whole process (0.2 ms instead of 12).
    """
    for mount_point in dict.fromkeys(hierarchies.v1.values()):
        _try_write(f"{mount_point}/{group}/{'cgroup.procs' if threads else 'tasks'}", "0")
    if v2 and hierarchies.v2:
        _try_write(f"{hierarchies.v2}/{group}/cgroup.procs", "0")


def make_everywhere(hierarchies: Hierarchies, group: str) -> None:
    """Makes ``group`` in every hierarchy that lets us; what does not, stays as it is."""
    for mount_point in hierarchies.mount_points():
        try:
            path = hierarchies.make(mount_point, group)
        except OSError:
            continue
        if mount_point == hierarchies.v1.get("cpuset"):
            copy_cpuset(path)


def copy_cpuset(path: str) -> None:
    """A v1 cpuset takes nobody in before it has CPUs and memory nodes: take them from above, from the top down."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not read_file(f"{path}/{name}"):
            above = os.path.dirname(path)
            if not read_file(f"{above}/{name}") and os.path.exists(f"{above}/{name}"):
                copy_cpuset(above)
            _try_write(f"{path}/{name}", read_file(f"{above}/{name}"))


def remove_tree(hierarchies: Hierarchies, group: str) -> list[str]:
    """Removes ``group`` and the groups below it everywhere; answers the directories that are still busy."""
    busy: list[str] = []
    for mount_point in hierarchies.mount_points():
        _remove(f"{mount_point}/{group}", busy)
    return busy


def _remove(path: str, busy: list[str]) -> None:
    try:
        with os.scandir(path) as entries:
            for child in [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]:
                _remove(child, busy)
        os.rmdir(path)
    except FileNotFoundError:
        return
    except OSError:
        busy.append(path)


def processes(hierarchies: Hierarchies, group: str) -> list[int]:
    """Pids in ``group`` and below it, in any hierarchy."""
    found: set[int] = set()
    for mount_point in hierarchies.mount_points():
        for directory, _, files in os.walk(f"{mount_point}/{group}"):
            if "cgroup.procs" in files:
                found.update(int(pid) for pid in read_file(f"{directory}/cgroup.procs").split())
    return sorted(found)


def groups_of(pid: int) -> list[str]:
    """The group of ``pid`` in each hierarchy, as /proc/PID/cgroup shows it."""
    return [line.split(":", 2)[2] for line in read_file(f"/proc/{pid}/cgroup").splitlines()]


def read_file(path: str) -> str:
    """Contents without the final newline; "" when it cannot be read."""
    try:
        return read_bytes(path).decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return ""


def read_bytes(path: str) -> bytes:
    """The whole file; without the io module's layers, which cost several times the system calls."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = [os.read(fd, 1 << 16)]
        while parts[-1]:
            parts.append(os.read(fd, 1 << 16))
        return b"".join(parts)
    finally:
        os.close(fd)


def write_file(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def _try_write(path: str, text: str) -> None:
    try:
        write_file(path, text)
    except OSError:
        return


def write_all(settings: Iterable[tuple[str, str]]) -> None:
    for path, text in settings:
        write_file(path, text)


def remove_if_empty(hierarchies: Hierarchies, group: str) -> None:
    """Removes ``group`` and the groups above it where nothing is left in them."""
    for mount_point in hierarchies.mount_points():
        for prefix in reversed(_prefixes(group)):
            try:
                os.rmdir(f"{mount_point}/{prefix}")
            except OSError:
                break
