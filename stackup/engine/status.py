"""Containers as ``ps`` lists them: plain rows, made from records alone. Standard library only."""

from __future__ import annotations

import sqlite3
from typing import Any

from stackup.base.clock import boot_id
from stackup.base.errors import HostUnfit
from stackup.base.paths import Layout
from stackup.engine.records import ContainerRecord, PortRecord, Records

RAN = ("starting", "running", "stopping", "restarting")


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


def read_ps(layout: Layout, project: str) -> list[dict[str, Any]]:
    """All rows of a project whose supervisor does not run."""
    try:
        records = Records(layout.project(project).records, readonly=True)
    except sqlite3.OperationalError:
        return []
    except sqlite3.DatabaseError as error:
        raise _unreadable(layout, project, error) from error
    try:
        return [_offline_row(record) for record in records.containers()]
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(layout, project, error) from error
    finally:
        records.close()


def _unreadable(layout: Layout, project: str, error: Exception) -> HostUnfit:
    return HostUnfit(f"cannot list project {project}: cannot read {layout.project(project).records}: {error!r}")


def _offline_row(record: ContainerRecord) -> dict[str, Any]:
    data = row(record)
    if record.state.phase in RAN and record.state.boot_id != boot_id():
        data.update(phase="exited", exit_code=None, exit_unknown=True, notice="the machine was restarted")
    return data
