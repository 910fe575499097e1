"""A container as ``ps`` shows it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from stackup.base.clock import now_ns, rfc3339
from stackup.base.names import LABEL_PREFIX
from stackup.cli.asking import ask
from stackup.cli.table import ago, shorten

if TYPE_CHECKING:
    from stackup.cli.session import Session

HEADER = ("NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS")
COMMAND_WIDTH = 20
# model.observed.Phase -> the word Docker has for it; one that is being stopped still runs.
DOCKER_STATES = {"starting": "created", "stopping": "running"}
HEALTH_TEXT = {"starting": " (health: starting)", "healthy": " (healthy)", "unhealthy": " (unhealthy)"}


class Port(NamedTuple):
    """``host_port`` 0: not published."""

    host_ip: str
    host_port: int
    container_port: int
    protocol: str

    def __str__(self) -> str:
        return _entry(self, self)


def port_list(ports: Iterable[Port]) -> str:
    """``0.0.0.0:8000-8009->8000-8009/tcp, 0.0.0.0:81->80/tcp``: neighbours that are published under their own numbers
    are one entry (docker/cli formatter.DisplayablePorts)."""
    groups: dict[tuple[str, str], list[Port]] = {}
    folded: list[str] = []
    single: list[str] = []
    for port in sorted(ports, key=lambda item: (item.container_port, item.host_ip, item.host_port, item.protocol)):
        if port.host_port not in (0, port.container_port):
            single.append(str(port))
            continue
        group = groups.setdefault((port.host_ip if port.host_port else "-", port.protocol), [])
        if group and port.container_port != group[-1].container_port + 1:
            folded.append(_entry(group[0], group[-1]))
            group.clear()
        group.append(port)
    return ", ".join([*folded, *(_entry(group[0], group[-1]) for group in groups.values()), *single])


def _entry(first: Port, last: Port) -> str:
    """Ports that follow each other, or one."""
    target = f"{_span(first.container_port, last.container_port)}/{first.protocol}"
    if not first.host_port:
        return target
    host = f"[{first.host_ip}]" if ":" in first.host_ip else first.host_ip or "0.0.0.0"
    return f"{host}:{_span(first.host_port, last.host_port)}->{target}"


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


class Row(NamedTuple):
    """Times in ns since the epoch, 0 for never; ``phase`` and ``health`` as in ``model.observed``."""

    id: str
    name: str
    service: str
    number: int
    image: str
    image_id: str
    command: str
    created_ns: int
    started_ns: int
    finished_ns: int
    phase: str
    health: str
    exit_code: int | None
    exit_unknown: bool
    oom_killed: bool
    ports: tuple[Port, ...]
    networks: tuple[str, ...]
    labels: dict[str, str]
    notice: str
    next_run_ns: int = 0  # of a schedule that waits; 0: none
    health_code: int | None = None  # of the last probe; negative: it did not come to an end of its own
    health_output: str = ""
    runs: tuple[dict[str, Any], ...] = ()  # of a schedule, the last ones: at_ns, seconds, code (None: unknown)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Row:
        """From a supervisor's answer; one of another version may know less."""
        return cls(
            id=data["id"],
            name=data["name"],
            service=data["service"],
            number=data.get("number", 1),
            image=data.get("image", ""),
            image_id=data.get("image_id", ""),
            command=data.get("command", ""),
            created_ns=data.get("created_ns", 0),
            started_ns=data.get("started_ns", 0),
            finished_ns=data.get("finished_ns", 0),
            phase=data["phase"],
            health=data.get("health", "none"),
            exit_code=data.get("exit_code"),
            exit_unknown=data.get("exit_unknown", False),
            oom_killed=data.get("oom_killed", False),
            ports=tuple(Port(**item) for item in data.get("ports", ())),
            networks=tuple(data.get("networks", ())),
            labels=data.get("labels", {}),
            notice=data.get("notice", ""),
            health_code=data.get("health_code"),
            health_output=data.get("health_output", ""),
            next_run_ns=data.get("next_run_ns", 0),
            runs=tuple(data.get("runs", ())),
        )

    @property
    def alive(self) -> bool:
        return self.phase in ("starting", "running", "paused", "restarting", "stopping")

    @property
    def docker_state(self) -> str:
        if self.next_run_ns:
            return "exited" if self.started_ns else "created"
        return DOCKER_STATES.get(self.phase, self.phase)

    def status(self) -> str:
        """``Up 5 minutes (healthy)``, ``Exited (1) 3 hours ago``, ``Exited (137) 3 seconds ago, out of memory``."""
        code = "unknown" if self.exit_code is None else str(self.exit_code)
        why = ", out of memory" if self.oom_killed and self.exit_code != 0 else ""
        match self.phase:
            case "running" | "stopping":
                return f"Up {_since(self.started_ns)}{HEALTH_TEXT.get(self.health, '')}"
            case "paused":
                return f"Up {_since(self.started_ns)} (Paused)"
            case "restarting" if self.next_run_ns:
                return self._waiting(code)
            case "restarting":
                return f"Restarting ({code}) {_since(self.finished_ns)} ago{why}"
            case "exited":
                return f"Exited ({code}) {_since(self.finished_ns)} ago{why}"
            case other:
                return other.capitalize()

    def _waiting(self, code: str) -> str:
        """``Next run in 5 minutes; exited (0) 2 hours ago``."""
        left = self.next_run_ns - now_ns()
        text = f"Next run in {ago(left / 1e9)}" if left > 0 else "Next run is due"
        return f"{text}; exited ({code}) {_since(self.finished_ns)} ago" if self.started_ns else text


def read(session: Session, *, steps: bool = False) -> list[Row]:
    """All containers of the project: from its supervisor, or from the records when none runs. ``steps``: with those
    that prepare others (pre_start).

    Where something should run and nobody looks after it (both processes were killed), they are started again.
    """
    args = {"all": True, **({"steps": True} if steps else {})}
    client = session.connect()
    data: list[dict[str, Any]]
    if client is not None:
        data = ask(session, client, "ps", args)
    elif session.known():
        from stackup.engine.status import read_ps

        data = read_ps(session.layout, session.project, steps=steps)
        if not data:
            _tell_unrecorded(session)
        if any(item["unwatched"] for item in data) and not session.looks_only:
            client = session.ensure()
            session.console.warn(f"project {session.project}: its supervisor and launcher had died; new ones took over")
            data = ask(session, client, "ps", args)
    else:
        data = []
    rows = [Row.from_dict(item) for item in data]
    return sorted(rows, key=lambda row: (row.service, row.number))


def _tell_unrecorded(session: Session) -> None:
    from stackup.engine.status import unrecorded, unrecorded_text

    groups = unrecorded(session.layout, session.project, ())
    if groups:
        session.console.warn(f"{unrecorded_text(groups)}; see stackup doctor")


def cells(row: Row, *, whole: bool = False) -> tuple[str, ...]:
    command = row.command if whole else shorten(row.command, COMMAND_WIDTH)
    return (
        row.name,
        row.image,
        f'"{command}"',
        row.service,
        f"{_since(row.created_ns)} ago",
        row.status(),
        port_list(row.ports),
    )


def as_docker_json(row: Row, project: str) -> str:
    return json.dumps(docker_fields(row, project))


def docker_fields(row: Row, project: str) -> dict[str, Any]:
    """The keys that ``docker compose ps --format json`` has."""
    labels = {**row.labels, f"{LABEL_PREFIX}.project": project, f"{LABEL_PREFIX}.service": row.service}
    return {
        "Command": f'"{row.command}"',
        "CreatedAt": rfc3339(row.created_ns),
        "ExitCode": row.exit_code or 0,
        "ExitUnknown": row.exit_unknown,
        "Health": "" if row.health == "none" else row.health,
        **_probe(row),
        "ID": row.id[:12],
        "Image": row.image,
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        "Name": row.name,
        "Names": row.name,
        "Notice": row.notice,
        "Networks": ",".join(row.networks),
        "OOMKilled": row.oom_killed,
        "Ports": port_list(row.ports),
        **_schedule(row),
        "Project": project,
        "Publishers": [
            {
                "URL": port.host_ip,
                "TargetPort": port.container_port,
                "PublishedPort": port.host_port,
                "Protocol": port.protocol,
            }
            for port in row.ports
        ],
        "RunningFor": f"{_since(row.created_ns)} ago",
        "Service": row.service,
        "State": row.docker_state,
        "Status": row.status(),
    }


def _probe(row: Row) -> dict[str, Any]:
    """A key of ours, of what is not healthy: what its last probe said."""
    if row.health not in ("starting", "unhealthy") or (row.health_code is None and not row.health_output):
        return {}
    return {"HealthProbe": {"ExitCode": row.health_code, "Output": row.health_output}}


def _schedule(row: Row) -> dict[str, Any]:
    """Keys of ours, of what runs at times."""
    if not row.next_run_ns and not row.runs:
        return {}
    runs = [{"At": rfc3339(run["at_ns"]), "Seconds": run["seconds"], "ExitCode": run["code"]} for run in row.runs]
    return {"NextRun": rfc3339(row.next_run_ns) if row.next_run_ns else None, "Runs": runs}


def _since(ns: int) -> str:
    return ago(max(0, now_ns() - ns) / 1e9)
