"""What killed builds left in the kernel although the directory that would tell of them is gone.

A build's control groups, links and firewall table carry its owner's name, ``build.PID-START-RANDOM``. They are an
orphan's when no process with that pid and start time is there any more; nothing else is ever touched.
"""

from __future__ import annotations

import re
from pathlib import Path

from stackup.base.names import CGROUP_PARENT
from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.runtime.cgroups import children, kill_all, remove_cgroups

_OWNER = re.compile(r"build\.(?P<pid>\d+)-(?P<start>\d+)-[0-9a-f]{12}(@[0-9a-f]{6})?\Z")


@frozen
class Orphan:
    """``cgroups`` below every hierarchy; ``identity`` as in ``network.traces``, empty where it has no network."""

    owner: str
    cgroups: tuple[str, ...] = ()
    identity: str = ""


def is_orphan(owner: str) -> bool:
    """``owner`` may carry the mark of a state root, as control groups do."""
    found = _OWNER.match(owner)
    return found is not None and _start_of(int(found["pid"])) != int(found["start"])


def orphans(*, tables: bool = False) -> tuple[Orphan, ...]:
    """Of every state root. With ``tables`` also firewall tables that are left without a link, which takes longer."""
    groups: dict[str, list[str]] = {}
    for name in children(CGROUP_PARENT):
        if is_orphan(name):
            groups.setdefault(name.partition("@")[0], []).append(f"{CGROUP_PARENT}/{name}")
    networks = _networks(tables)
    return tuple(
        Orphan(owner, tuple(groups.get(owner, ())), networks.get(owner, "")) for owner in sorted({*groups, *networks})
    )


def sweep_orphans(layout: Layout, *, tables: bool = False) -> tuple[Orphan, ...]:
    """Takes them away; answers what there was. ``layout``: whose locks are taken meanwhile."""
    found = orphans(tables=tables)
    for orphan in found:
        for group in orphan.cgroups:
            kill_all(group)
        remove_cgroups(*orphan.cgroups)
        if orphan.identity:
            from stackup.network.manager import NetworkManager  # seldom needed

            NetworkManager(layout, orphan.owner, identity=orphan.identity).purge()
    return found


def _networks(tables: bool) -> dict[str, str]:
    """Owner -> identity."""
    from stackup.network.traces import links_present, traces

    if not tables and not links_present():
        return {}
    return {item.owner: item.identity for item in traces(tables=tables) if is_orphan(item.owner)}


def _start_of(pid: int) -> int:
    """Field 22 of /proc/PID/stat; -1 when there is no such process, or it has ended and waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] in "ZX" else int(fields[19])
