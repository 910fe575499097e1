"""Containers as ``ps`` lists them: plain rows, made from records alone. Standard library only."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stackup.base.clock import boot_id, now_ns
from stackup.base.errors import HostUnfit
from stackup.base.names import project_cgroup
from stackup.base.paths import Layout
from stackup.engine.records import ContainerRecord, PortRecord, Records, State
from stackup.engine.supervision import UNHEALTHY, probe_text

RAN = ("starting", "running", "paused", "stopping", "restarting")


def row(record: ContainerRecord, notice: str = "") -> dict[str, Any]:
    """One container; times in ns since the epoch, 0 for never. ``notice`` is what ``ps`` should say beside it."""
    definition, state = record.definition, record.state
    return {
        "id": definition.id,
        "name": definition.name,
        "service": definition.service,
        "number": definition.number,
        "image": definition.image,
        "image_id": definition.image_id,
        "command": definition.command,
        "labels": definition.labels,
        "networks": [endpoint.name for endpoint in definition.endpoints],
        "created_ns": definition.created_ns,
        "started_ns": state.started_ns,
        "finished_ns": state.finished_ns,
        "phase": state.phase,
        "health": state.health,
        "health_output": state.health_output,
        "health_code": state.health_code,
        "exit_code": state.exit_code,
        "exit_unknown": state.exit_unknown,
        "oom_killed": state.oom_killed,
        "restarts": state.restarts,
        "next_run_ns": state.restart_at_ns if state.phase == "restarting" and definition.supervision.schedule else 0,
        "runs": list(state.runs),
        "pid": state.pid,
        "ports": [_port(port) for port in state.host_ports or definition.ports],
        "notice": notice or state.error or state.unprepared or _sickness(state),
    }


def _sickness(state: State) -> str:
    return probe_text(state.health_code, state.health_output) if state.health == UNHEALTHY else ""


def _port(port: PortRecord) -> dict[str, Any]:
    return {
        "host_ip": port.host_ip,
        "host_port": int(port.host_port) if port.host_port.isdecimal() else 0,
        "container_port": port.container_port,
        "protocol": port.protocol,
    }


def read_ps(layout: Layout, project: str, *, steps: bool = False) -> list[dict[str, Any]]:
    """All rows of a project whose supervisor does not run; with ``steps`` also those of what prepares containers."""
    records = open_records(layout, project)
    if records is None:
        return []
    paths = layout.project(project)
    try:
        found = [item for item in records.containers() if steps or not item.definition.parent]
        return [offline_row(item, paths.container(item.definition.id).exit_file) for item in found]
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        raise unreadable(layout, project, error) from error
    finally:
        records.close()


def open_records(layout: Layout, project: str) -> Records | None:
    """For reading; None where there are none. Raises HostUnfit for those that cannot be read."""
    path = layout.project(project).records
    if not os.path.lexists(path):
        return None
    try:
        return Records(path, readonly=True)
    except sqlite3.DatabaseError as error:
        if not os.path.lexists(path) or "no such table" in str(error):  # just deleted, or just made
            return None
        raise unreadable(layout, project, error) from error


def unrecorded(layout: Layout, project: str, known: Iterable[str]) -> list[str]:
    """Control groups of containers that live, and that no record names. ``known``: ids of those that have one."""
    from stackup.runtime.cgroups import OWN_GROUP, children, processes

    group = project_cgroup(project, layout.root)
    names = {item[:12] for item in known} | {OWN_GROUP}
    return [f"{group}/{name}" for name in children(group) if name not in names and processes(f"{group}/{name}")]


def unrecorded_text(groups: Sequence[str]) -> str:
    found = f"{len(groups)} containers run" if groups[1:] else "a container runs"
    return f"{found} that no record names, for the project's records were deleted (control groups {', '.join(groups)})"


def unreadable(layout: Layout, project: str, error: Exception) -> HostUnfit:
    return HostUnfit(f"cannot list project {project}: cannot read {layout.project(project).records}: {error!r}")


def offline_row(record: ContainerRecord, exit_file: Path) -> dict[str, Any]:
    """Nobody keeps the record true just now, so a process counts only when it is there, and is the recorded one.

    ``unwatched``: it should run, and somebody should look after it.
    """
    state = record.state
    data = row(record) | {"unwatched": (state.phase in RAN or state.returns) and state.boot_id == boot_id()}
    if state.phase not in RAN or (state.boot_id == boot_id() and start_time_of(state.pid) == state.start_time):
        return data
    here = state.boot_id == boot_id()
    code, oom_killed = _written_exit(exit_file, state.incarnation) if here else (None, False)
    notice = "" if here else "the machine was restarted"
    data.update(
        phase="exited",
        finished_ns=_end(state, here=here),
        exit_code=code,
        exit_unknown=code is None,
        oom_killed=oom_killed,
        health="none",
        notice=notice,
    )
    return data


def _end(state: State, *, here: bool) -> int:
    """ns since the epoch; of what a reboot has ended, when the machine was started again."""
    if here or state.finished_ns > state.started_ns:
        return state.finished_ns
    return max(state.started_ns, now_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME))


def start_time_of(pid: int) -> int:
    """Field 22 of /proc/PID/stat; -1 when there is no such process, or it has ended and waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] in "ZX" else int(fields[19])


def _written_exit(path: Path, incarnation: int) -> tuple[int | None, bool]:
    """What the launcher left on disk for this incarnation: the exit code, and whether memory ran out."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None, False
    return (data["status"], data["oom"]) if data.get("incarnation") == incarnation else (None, False)
