"""Containers as ``ps`` lists them: plain rows, made from records alone. Standard library only."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from stackup.base.clock import boot_id
from stackup.base.errors import HostUnfit
from stackup.base.paths import Layout
from stackup.engine.records import ContainerRecord, PortRecord, Records

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
        "exit_code": state.exit_code,
        "exit_unknown": state.exit_unknown,
        "oom_killed": state.oom_killed,
        "restarts": state.restarts,
        "next_run_ns": state.restart_at_ns if state.phase == "restarting" and definition.supervision.schedule else 0,
        "runs": list(state.runs),
        "pid": state.pid,
        "ports": [_port(port) for port in state.host_ports or definition.ports],
        "notice": notice or state.error,
    }


def _port(port: PortRecord) -> dict[str, Any]:
    return {
        "host_ip": port.host_ip,
        "host_port": int(port.host_port) if port.host_port.isdecimal() else 0,
        "container_port": port.container_port,
        "protocol": port.protocol,
    }


def read_ps(layout: Layout, project: str, *, steps: bool = False) -> list[dict[str, Any]]:
    """All rows of a project whose supervisor does not run; with ``steps`` also those of what prepares containers."""
    try:
        records = Records(layout.project(project).records, readonly=True)
    except sqlite3.OperationalError:
        return []
    except sqlite3.DatabaseError as error:
        raise unreadable(layout, project, error) from error
    paths = layout.project(project)
    try:
        found = [item for item in records.containers() if steps or not item.definition.parent]
        return [offline_row(item, paths.container(item.definition.id).exit_file) for item in found]
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        raise unreadable(layout, project, error) from error
    finally:
        records.close()


def unreadable(layout: Layout, project: str, error: Exception) -> HostUnfit:
    return HostUnfit(f"cannot list project {project}: cannot read {layout.project(project).records}: {error!r}")


def offline_row(record: ContainerRecord, exit_file: Path) -> dict[str, Any]:
    """Nobody keeps the record true just now, so a process counts only when it is there, and is the recorded one.

    ``unwatched``: it should run, and somebody should look after it.
    """
    state = record.state
    data = row(record) | {"unwatched": state.phase in RAN and state.boot_id == boot_id()}
    if state.phase not in RAN or (state.boot_id == boot_id() and start_time_of(state.pid) == state.start_time):
        return data
    here = state.boot_id == boot_id()
    code, oom_killed = _written_exit(exit_file, state.incarnation) if here else (None, False)
    notice = "" if here else "the machine was restarted"
    data.update(
        phase="exited", exit_code=code, exit_unknown=code is None, oom_killed=oom_killed, health="none", notice=notice
    )
    return data


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
