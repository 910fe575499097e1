"""Stops and resumes all processes of a container at once, by the kernel's freezer. Works on v2, v1 and hybrid hosts.

Version 2 freezes in every group, whatever controllers there are; where it is not mounted, or older than Linux 5.2, the
``freezer`` hierarchy of version 1 does, into which the processes have to be moved first.
"""

from __future__ import annotations

import os
import time

from stackup.base.errors import ContainerFault, HostUnfit
from stackup.linux import features
from stackup.linux.cgroups import Hierarchies, read_file, write_file
from stackup.runtime.relimiting import move

PATIENCE = 10.0  # seconds that the kernel may take, e.g. for a process that waits for a disk
_PAUSE = 0.002


def freeze(cgroup: str) -> None:
    """Raises ContainerFault when the kernel refuses or takes too long; nothing is frozen then. Blocks: for a thread."""
    try:
        file, frozen, thawed = _switch(cgroup)
    except OSError as error:
        raise ContainerFault(f"{error.filename or cgroup}: {error.strerror}") from error
    deadline = time.monotonic() + PATIENCE
    while True:
        write_file(file, frozen)  # again and again: version 1 may stop half way while processes are forked
        if is_frozen(file):
            return
        if time.monotonic() > deadline:
            write_file(file, thawed)
            raise ContainerFault(f"its processes did not stop within {PATIENCE:g} s")
        time.sleep(_PAUSE)


def thaw(cgroup: str) -> None:
    """Nothing happens to what is not frozen. Raises ContainerFault."""
    try:
        for file, _, thawed in _switches(cgroup):
            if os.path.exists(file):
                write_file(file, thawed)
    except OSError as error:
        raise ContainerFault(f"{error.filename}: {error.strerror}") from error


def is_frozen(file: str) -> bool:
    """``file``: cgroup.freeze or freezer.state."""
    if file.endswith("cgroup.freeze"):
        return "frozen 1" in read_file(f"{os.path.dirname(file)}/cgroup.events").splitlines()
    return read_file(file) == "FROZEN"


def _switches(cgroup: str) -> list[tuple[str, str, str]]:
    """(file, what freezes, what thaws) of each freezer that there is, the better one first."""
    found, hierarchies = [], Hierarchies.of_this_host()
    if hierarchies.v2 and features.usable(features.CGROUP2_FREEZE):
        found.append((f"{hierarchies.v2}/{cgroup}/cgroup.freeze", "1", "0"))
    if "freezer" in hierarchies.v1:
        found.append((f"{hierarchies.v1['freezer']}/{cgroup}/freezer.state", "FROZEN", "THAWED"))
    return found


def _switch(cgroup: str) -> tuple[str, str, str]:
    """The one to use, with the container's processes behind it."""
    hierarchies = Hierarchies.of_this_host()
    for switch in _switches(cgroup):
        directory, name = os.path.split(switch[0])
        if name == "cgroup.freeze":
            if os.path.exists(switch[0]) and read_file(f"{directory}/cgroup.procs"):
                return switch
        else:
            hierarchies.make(hierarchies.v1["freezer"], cgroup)
            move(f"{hierarchies.v1['memory']}/{cgroup}", directory)
            return switch
    raise HostUnfit(
        "this machine cannot pause processes: it has no cgroup freezer",
        hint="Linux 5.2 or later with cgroup v2, or the freezer hierarchy of cgroup v1",
    )
