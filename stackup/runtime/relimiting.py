"""Limits of a container that runs already: written into its control groups as they are wanted now.

What is not wanted any more is set back to what a group without limits has; nothing needs to be known of what was
before, so that a change that was cut short is finished by making it again. Works on v2, v1 and hybrid hosts.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import Any

from stackup.base.errors import ContainerFault
from stackup.linux import limits
from stackup.linux.cgroups import Hierarchies, copy_cpuset, read_file, write_file

_UNLIMITED_V1 = {
    "memory": {"memory.memsw.limit_in_bytes": "-1", "memory.limit_in_bytes": "-1", "memory.soft_limit_in_bytes": "-1"},
    "cpu": {"cpu.shares": "1024", "cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"},
    "cpuset": {"cpuset.cpus": ""},
    "pids": {"pids.max": "max"},
}
_UNLIMITED_V2 = {
    "memory": {"memory.max": "max", "memory.swap.max": "max", "memory.low": "0"},
    "cpu": {"cpu.weight": "100", "cpu.max": "max 100000"},
    "cpuset": {"cpuset.cpus": "\n"},
    "pids": {"pids.max": "max"},
}
_HARD = ("memory.max", "memory.limit_in_bytes")
_IN_USE = {"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes"}
_OPTIONAL = ("memory.memsw.limit_in_bytes", "memory.swap.max", "memory.swappiness")
_MOVES = 20  # rounds of looking for processes that were forked while others were moved


def change_limits(cgroup: str, resources: dict[str, Any]) -> None:
    """``resources``: memory, cpu and pids of the OCI ``linux.resources``; ``cgroup`` as ``names.container_cgroup``.

    Raises ContainerFault when the kernel refuses, or when the container uses more memory now than it may have.
    """
    hierarchies = Hierarchies.of_this_host()
    if hierarchies.v1:
        settings = limits.v1_settings(resources)
        for controller in _UNLIMITED_V1:
            wanted = [(name, text) for item, name, text in settings if item == controller]
            _change_v1(hierarchies, controller, cgroup, wanted)
    elif hierarchies.unified:
        hierarchies.enable_controllers(cgroup)
        settings = limits.v2_settings(resources)
        for controller, unlimited in _UNLIMITED_V2.items():
            wanted = [(name, text) for item, name, text in settings if item == controller]
            _change(f"{hierarchies.v2}/{cgroup}", unlimited, wanted)


def limit_files(cgroup: str) -> tuple[str, ...]:
    """The files that hold the limits of a group, in every hierarchy that has it."""
    hierarchies = Hierarchies.of_this_host()
    if hierarchies.v1:
        places = [
            (f"{hierarchies.v1[item]}/{cgroup}", names)
            for item, names in _UNLIMITED_V1.items()
            if item in hierarchies.v1
        ]
    else:
        places = [(f"{hierarchies.v2}/{cgroup}", names) for names in _UNLIMITED_V2.values()]
    paths = (f"{directory}/{name}" for directory, names in places for name in names)
    return tuple(path for path in paths if os.path.exists(path))


def _change_v1(hierarchies: Hierarchies, controller: str, cgroup: str, wanted: list[tuple[str, str]]) -> None:
    """A container is only in the groups that it had limits in: it may have to be moved into another one."""
    mount = hierarchies.v1.get(controller)
    if mount is None:
        if wanted:
            raise ContainerFault(f"cannot set {wanted[0][0]}: this machine has no {controller} cgroup controller")
        return
    directory, unlimited = f"{mount}/{cgroup}", dict(_UNLIMITED_V1[controller])
    new = not os.path.isdir(directory)
    if new and not wanted:
        return
    if new:
        hierarchies.make(mount, cgroup)
    if controller == "cpuset":
        copy_cpuset(directory)
        unlimited["cpuset.cpus"] = read_file(f"{os.path.dirname(directory)}/cpuset.cpus")
    _change(directory, unlimited, wanted)
    if new:
        move(f"{hierarchies.v1['memory']}/{cgroup}", directory)


def _change(directory: str, unlimited: dict[str, str], wanted: Iterable[tuple[str, str]]) -> None:
    goal = {name: text for name, text in unlimited.items() if os.path.exists(f"{directory}/{name}")}
    goal |= dict(wanted)
    for name in _HARD:
        if name in goal:
            _refuse_too_little(directory, name, goal[name])
    # Each of two files may only be written after the other, depending on which way they go: memory and memory with
    # swap, quota and period. What is refused is tried again when the rest is as it should be.
    left = list(goal.items())
    for last in (False, True):
        left = [item for item in left if not _write(directory, *item, last=last)]


def _refuse_too_little(directory: str, name: str, text: str) -> None:
    """Version 2 would kill the container, version 1 would refuse with two words."""
    used = read_file(f"{directory}/{_IN_USE[name]}")
    if text.isdecimal() and used.isdecimal() and int(text) < int(used):
        raise ContainerFault(
            f"cannot lower its memory limit to {text} bytes: it uses {used} now",
            hint="have it made anew with --force-recreate, or give it more",
            about=".mem_limit",
        )


def _write(directory: str, name: str, text: str, *, last: bool) -> bool:
    try:
        write_file(f"{directory}/{name}", text)
    except OSError as error:
        if error.errno == errno.ENOENT and name in _OPTIONAL:
            return True  # this machine does not count swap; Docker goes on without as well
        if not last:
            return False
        raise ContainerFault(f"cannot set {name} to {text.strip() or 'nothing'}: {error.strerror}") from error
    return True


def move(source: str, directory: str) -> None:
    """All processes of the group ``source``, in another hierarchy, into ``directory``."""
    for _ in range(_MOVES):
        inside = set(read_file(f"{directory}/cgroup.procs").split())
        outside = [pid for pid in read_file(f"{source}/cgroup.procs").split() if pid not in inside]
        for pid in outside:
            try:
                write_file(f"{directory}/cgroup.procs", pid)
            except OSError as error:
                if error.errno != errno.ESRCH:
                    raise ContainerFault(f"cannot move its processes to {directory}: {error.strerror}") from error
        if not outside:
            return
