"""``stackup top``: the processes of each container, as the host sees them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from stackup.base.names import container_cgroup
from stackup.cli.containers import read
from stackup.cli.naming import with_containers
from stackup.cli.session import Session
from stackup.cli.table import elapsed, table
from stackup.cli.verbs.common import services

HEADER = ("SERVICE", "#", "UID", "PID", "PPID", "AGE", "CPU", "CMD")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Request:
    """Show the processes of running containers."""

    services: tuple[str, ...] = services()


def run(session: Session, request: Request) -> int:
    from stackup.runtime.cgroups import processes

    rows = read(session)
    chosen = with_containers(session, "show processes of", request.services, {row.service for row in rows})
    lines = []
    for row in rows:
        if row.alive and (not request.services or row.service in chosen):
            group = container_cgroup(session.project, row.id, session.layout.root)
            lines += [(row.service, str(row.number), *cells) for cells in _cells(processes(group))]
    session.console.out.write(table(HEADER, lines))
    return 0


def _cells(pids: tuple[int, ...]) -> Iterator[tuple[str, ...]]:
    with open("/proc/uptime", encoding="ascii") as file:
        uptime = float(file.read().split()[0])
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                head, _, tail = file.read().rpartition(")")
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
            owner = os.stat(f"/proc/{pid}").st_uid
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        fields = tail.split()
        name = head.partition("(")[2]
        age = max(0.0, uptime - int(fields[19]) / TICKS)
        used = (int(fields[11]) + int(fields[12])) / TICKS
        yield str(owner), str(pid), fields[1], elapsed(age), elapsed(used), command or f"[{name}]"
