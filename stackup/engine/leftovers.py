"""What the kernel has of a state root, found by names alone; and taking it away without asking any record.

For ``doctor``, which reads, and for ``down --all``, which clears what an ordinary ``down`` cannot: records that nobody
can read, processes that do not answer, things whose files are gone.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress

from stackup.base.errors import HostUnfit
from stackup.base.files import try_lock
from stackup.base.names import CGROUP_PARENT, is_project_name, project_cgroup, project_id
from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.base.workroom import delete
from stackup.linux import cgroups
from stackup.linux.cgroups import Hierarchies
from stackup.network.standalone import OWNER_PREFIX, StandaloneRecords
from stackup.network.traces import Trace, traces
from stackup.runtime.cgroups import children, kill_all, processes, remove_cgroups

BUILD_PREFIX = "build."
DESERTED = 600.0  # seconds; somebody may be about to enter a younger control group


@frozen
class Leftover:
    """Of one owner: a project, ``network.NAME`` or ``build.PID-START-RANDOM``. ``cgroup`` may be empty."""

    owner: str
    cgroup: str = ""
    pids: tuple[int, ...] = ()
    trace: Trace | None = None

    @property
    def is_project(self) -> bool:
        return is_project_name(self.owner)


def find(layout: Layout) -> tuple[Leftover, ...]:
    """Everything in control groups, links and firewall tables that is of this state root, by owner. Reads only."""
    groups = owned_groups(children(CGROUP_PARENT), layout.root)
    networks = owned_traces(_traces(), layout)
    return tuple(
        Leftover(
            owner,
            groups.get(owner, ""),
            processes(groups[owner]) if owner in groups else (),
            networks.get(owner),
        )
        for owner in sorted({*groups, *networks})
    )


def _traces() -> tuple[Trace, ...]:
    try:
        return traces()
    except HostUnfit:  # without nftables there are no tables
        return traces(tables=False)


def owned_groups(names: Iterable[str], root: str) -> dict[str, str]:
    """Owner -> control group, of those that belong to the state root ``root``."""
    owners = (name.partition("@")[0] for name in names)
    known = {owner: project_cgroup(owner, root) for owner in owners}
    present = {f"{CGROUP_PARENT}/{name}" for name in names}
    return {owner: group for owner, group in known.items() if group in present}


def owned_traces(found: Iterable[Trace], layout: Layout) -> dict[str, Trace]:
    """Owner -> trace. A table that does not tell its owner is known by the names of projects and networks."""
    from stackup.engine.inventory import project_names

    candidates = [*project_names(layout), *(OWNER_PREFIX + name for name in StandaloneRecords(layout).names())]
    known = {project_id(name, layout.root): name for name in candidates}
    owned = {}
    for trace in found:
        owner = trace.owner or known.get(trace.identity, "")
        if owner and project_id(owner, layout.root) == trace.identity:
            owned[owner] = trace
    return owned


def sweep_deserted() -> None:
    """Removes control groups in which nobody is, and nobody has made anything for long: of projects whose state root
    was deleted under them, so that no command will ever ask for them. Those of a project that is only stopped are made
    anew at its next start."""
    hierarchies = Hierarchies.of_this_host()
    for name in children(CGROUP_PARENT):
        group = f"{CGROUP_PARENT}/{name}"
        if not processes(group) and _quiet_for(hierarchies, group) > DESERTED:
            remove_cgroups(group)


def _quiet_for(hierarchies: Hierarchies, group: str) -> float:
    """Seconds since something was made in it or below it."""
    latest = 0.0
    for point in hierarchies.mount_points():
        for directory, _, _ in os.walk(f"{point}/{group}"):
            with suppress(FileNotFoundError):
                latest = max(latest, os.stat(directory).st_mtime)
    return time.time() - latest


def clear(layout: Layout, owner: str) -> None:
    """Kills, unmakes and deletes everything of one owner but volumes and images, by name."""
    from stackup.network.manager import NetworkManager

    group = project_cgroup(owner, layout.root)
    kill_all(group)
    remove_cgroups(group)
    NetworkManager(layout, owner).purge()
    if is_project_name(owner):
        paths = layout.project(owner)
        for directory in (paths.run, paths.state):
            delete(directory)


def purge(layout: Layout) -> None:
    """Everything of the state root: whatever the kernel still has of it, and all files. All projects are down.

    Raises HostUnfit, with nothing deleted, while an image is being brought in, or when something is mounted in there.
    """
    for mounted in mount_points(layout):
        raise HostUnfit(
            f"cannot delete {layout.state}: something is mounted at {mounted}", hint=f"if it can go: umount {mounted}"
        )
    lock = try_lock(layout.images / ".busy")
    if lock is None:
        raise HostUnfit(
            "cannot delete the images: one is being built or imported just now", hint="wait for its end, or end it"
        )
    try:
        for leftover in find(layout):
            clear(layout, leftover.owner)
        for directory in (layout.run, layout.state):
            if directory.is_dir():
                _empty(directory)
    finally:
        os.close(lock)
    cgroups.remove_if_empty(Hierarchies.of_this_host(), CGROUP_PARENT)  # another state root may be in it


def mount_points(layout: Layout) -> list[str]:
    """Deeper than the directories that somebody may have given a file system of their own."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            point = line.split(" ")[4].encode("latin-1", "replace").decode("unicode_escape")
            for top in (str(layout.state), str(layout.run)):
                if point.startswith(f"{top}/") and point.count("/") > top.count("/") + 1:
                    found.append(point)
    return found


def _empty(directory: os.PathLike[str]) -> None:
    """Deletes it with all that is in it; what somebody has mounted is emptied and stays."""
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            if os.path.ismount(entry.path):
                _empty(entry)
                continue
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    try:
        os.rmdir(directory)
    except OSError:
        return
