"""A container in the words of ``docker container inspect``, as far as stackup has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackup.base.clock import rfc3339
from stackup.cli.asking import ask
from stackup.cli.containerfinding import project_of
from stackup.cli.containers import DOCKER_STATES

if TYPE_CHECKING:
    from stackup.cli.session import Session
    from stackup.engine.records import ContainerRecord

NEVER = "0001-01-01T00:00:00Z"  # as Docker writes it


def describe(session: Session, record: ContainerRecord) -> dict[str, Any]:
    """Asks the supervisor of its project where one runs; the last probes are known only there."""
    definition, row = record.definition, _row(session, record)
    alive = row["phase"] in ("running", "paused", "stopping")
    state: dict[str, Any] = {
        "Status": DOCKER_STATES.get(row["phase"], row["phase"]),
        "Running": alive,
        "Paused": row["phase"] == "paused",
        "Restarting": row["phase"] == "restarting",
        "OOMKilled": row["oom_killed"],
        "Pid": row["pid"] if alive else 0,
        "ExitCode": row["exit_code"] or 0,
        "ExitUnknown": row["exit_unknown"],
        "Error": row["notice"],
        "StartedAt": _time(row["started_ns"]),
        "FinishedAt": _time(row["finished_ns"]),
    }
    if definition.supervision.health:
        log = [_probe(item) for item in row.get("probes", ())]
        state["Health"] = {"Status": row["health"], "FailingStreak": row.get("failing", 0), "Log": log}
    return {
        "Id": definition.id,
        "Created": rfc3339(definition.created_ns),
        "Name": f"/{definition.name}",
        "Image": row["image_id"],
        "RestartCount": row["restarts"],
        "State": state,
        "Config": {"Image": definition.image, "Labels": dict(row["labels"])},
    }


def _row(session: Session, record: ContainerRecord) -> dict[str, Any]:
    from stackup.engine.status import offline_row

    project, wanted = project_of(record), record.definition.id
    client = session.connector.connect(session.layout, project)
    if client is not None:
        for data in ask(session, client, "ps", {"all": True, "probes": True}):
            if data["id"] == wanted:
                return dict(data)
    return offline_row(record, session.layout.project(project).container(wanted).exit_file)


def _probe(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "Start": _time(item["begin_ns"]),
        "End": _time(item["end_ns"]),
        "ExitCode": item["code"],
        "Output": item["output"],
    }


def _time(ns: int) -> str:
    return rfc3339(ns) if ns else NEVER
