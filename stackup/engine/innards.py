"""What a running container should have: its mounts and limits, and what the kernel shows of them. Reads only."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from stackup.base.values import frozen
from stackup.engine.container import Container
from stackup.engine.world import World
from stackup.linux.cgroups import read_file
from stackup.runtime.bundle import CONFIG
from stackup.runtime.relimiting import limit_files

_OWN = ("proc", "sysfs", "mqueue", "devpts", "cgroup", "cgroup2")
_LIMITS = ("memory", "cpu", "pids")
_ESCAPE = re.compile(r"\\([0-7]{3})")


@frozen
class BoundMount:
    """``source`` empty: a file system of its own."""

    target: str
    source: str
    options: tuple[str, ...]


@frozen
class Innards:
    """``mounts`` by mount point, as the kernel shows it; ``limits``: file -> contents; ``wanted_limits``: of the OCI
    ``linux.resources``."""

    mounts: Mapping[str, BoundMount]
    limits: Mapping[str, str]
    wanted_limits: Mapping[str, Any]
    free: bool = False  # it may mount and unmount by itself


def innards_of(world: World, container: Container) -> Innards:
    """Raises OSError or ValueError when it has ended meanwhile."""
    config = json.loads((world.container_paths(container.id).state / CONFIG).read_bytes())
    capabilities = (config["process"].get("capabilities") or {}).get("bounding") or ()
    resources = config["linux"].get("resources") or {}
    return Innards(
        mounts=_at_their_points(config.get("mounts") or (), container.state.pid),
        limits={path: read_file(path) for path in limit_files(container.definition.cgroup)},
        wanted_limits={key: resources[key] for key in _LIMITS if key in resources},
        free="CAP_SYS_ADMIN" in capabilities,
    )


def _at_their_points(mounts: Iterable[Mapping[str, Any]], pid: int) -> dict[str, BoundMount]:
    found = {}
    there = mount_points(pid)
    for item in mounts:
        target, options = os.path.normpath(item["destination"]), tuple(item.get("options") or ())
        kind = item.get("type", "")
        bound = "bind" in options or "rbind" in options
        if not bound and (kind in _OWN or target == "/dev" or target.startswith("/dev/")):
            continue
        point = target if target in there else resolved(pid, target)
        found[point] = BoundMount(target, item.get("source", "") if bound else "", options)
    return found


def mount_points(pid: int) -> set[str]:
    """Raises OSError when the process has gone."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return points_in(file.read())


def points_in(mountinfo: str) -> set[str]:
    """The fifth field of each line, proc_pid_mountinfo(5)."""
    points = {line.split(" ", 5)[4] for line in mountinfo.splitlines()}
    return {_ESCAPE.sub(lambda found: chr(int(found[1], 8)), item) if "\\" in item else item for item in points}


def resolved(pid: int, path: str) -> str:
    """``path`` with the symlinks of the container's root followed, as far as they lead."""
    root, done, left, followed = f"/proc/{pid}/root", "", [part for part in path.split("/") if part], 0
    while left:
        part = left.pop(0)
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        try:
            to = os.readlink(f"{root}{done}/{part}") if followed < 40 else ""
        except OSError:
            to = ""
        if not to:
            done = f"{done}/{part}"
            continue
        followed += 1
        done = "" if to.startswith("/") else done
        left = [item for item in to.split("/") if item not in ("", ".")] + left
    return done or "/"
