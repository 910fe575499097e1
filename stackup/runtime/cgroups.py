"""Control groups as the engine sees them: usage, processes, removal. Works on v2, v1 and hybrid hosts.

Groups are named by their path below every hierarchy (``names.container_cgroup``).
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress

from stackup.base.values import frozen
from stackup.linux import cgroups
from stackup.linux.cgroups import Hierarchies

OWN_GROUP = "_stackup"  # below a project's group: where its launcher and supervisor are
_RETRIES, _PAUSE = 10, 0.005
_UNLIMITED = 1 << 60
_KILL_PATIENCE = 2.0  # seconds for one killed process to be gone


@frozen
class Usage:
    """Bytes, nanoseconds, tasks. None: this host does not count it, or there is no limit."""

    memory: int | None
    memory_limit: int | None
    cpu_ns: int | None
    pids: int | None


def processes(cgroup: str) -> tuple[int, ...]:
    """Pids in the group and below it."""
    return tuple(cgroups.processes(Hierarchies.of_this_host(), cgroup))


def children(cgroup: str) -> tuple[str, ...]:
    """Names of the groups directly below it, in any hierarchy."""
    found: set[str] = set()
    for point in Hierarchies.of_this_host().mount_points():
        with suppress(FileNotFoundError):
            found |= {entry.name for entry in os.scandir(f"{point}/{cgroup}") if entry.is_dir(follow_symlinks=False)}
    return tuple(sorted(found))


def kill_all(cgroup: str) -> None:
    """Kills what is in the group and below it. Each process is looked at twice: what is in the group after its
    descriptor was opened is what will be signalled."""
    while pids := processes(cgroup):
        for pid in pids:
            with suppress(ProcessLookupError):
                fd = os.pidfd_open(pid)
                try:
                    if pid in processes(cgroup):
                        signal.pidfd_send_signal(fd, signal.SIGKILL)
                        select.select([fd], [], [], _KILL_PATIENCE)
                finally:
                    os.close(fd)


def usage(cgroup: str) -> Usage:
    found = Hierarchies.of_this_host()
    if found.v1:
        return Usage(
            _number(found, "memory", cgroup, "memory.usage_in_bytes"),
            _number(found, "memory", cgroup, "memory.limit_in_bytes"),
            _number(found, "cpuacct", cgroup, "cpuacct.usage"),
            _number(found, "pids", cgroup, "pids.current"),
        )
    cpu = dict(
        line.split() for line in cgroups.read_file(f"{found.v2}/{cgroup}/cpu.stat").splitlines() if line.count(" ") == 1
    )
    return Usage(
        _number(found, "", cgroup, "memory.current"),
        _number(found, "", cgroup, "memory.max"),
        int(cpu["usage_usec"]) * 1000 if "usage_usec" in cpu else None,
        _number(found, "", cgroup, "pids.current"),
    )


def _number(hierarchies: Hierarchies, controller: str, cgroup: str, name: str) -> int | None:
    mount_point = hierarchies.v1.get(controller) if controller else hierarchies.v2
    text = cgroups.read_file(f"{mount_point}/{cgroup}/{name}") if mount_point else ""
    return int(text) if text.isdigit() and int(text) < _UNLIMITED else None


def remove_cgroups(*paths: str) -> tuple[str, ...]:
    """Removes the groups, what is below them and what is above them and empty; answers the directories still busy.

    A process that was just killed may keep its group for some milliseconds: this waits up to 50 of them.
    """
    hierarchies = Hierarchies.of_this_host()
    left = [path for path in paths if path]
    busy: list[str] = []
    for attempt in range(_RETRIES):
        busy = [directory for path in left for directory in cgroups.remove_tree(hierarchies, path)]
        if not busy:
            break
        if attempt < _RETRIES - 1:
            time.sleep(_PAUSE)
    for path in left:
        parent = path.rpartition("/")[0]
        if parent:
            cgroups.remove_if_empty(hierarchies, parent)
    return tuple(busy)
