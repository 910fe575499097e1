"""``stackup ps``: the project's containers, as ``docker compose ps`` lists them."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.containers import HEADER, Row, as_docker_json, cells, read
from stackup.cli.naming import with_containers
from stackup.cli.options import switch, value, values
from stackup.cli.session import Session
from stackup.cli.table import table
from stackup.cli.verbs.common import services

STATES = ("created", "restarting", "running", "paused", "removing", "exited")


@dataclass(frozen=True)
class Request:
    """List containers."""

    services: tuple[str, ...] = services()
    all: bool = switch("-a", "--all", help="Include containers that have ended.")
    quiet: bool = switch("-q", "--quiet", help="Only ids.")
    only_services: bool = switch("--services", help="Only the names of services.")
    status: tuple[str, ...] = values("--status", help="Only containers in this state.", choices=STATES)
    format: str = value("--format", help="Output format.", default="table", choices=("table", "json"))
    no_trunc: bool = switch("--no-trunc", help="Do not shorten anything.")


def run(session: Session, request: Request) -> int:
    rows = read(session)
    with_containers(session, "list", request.services, {row.service for row in rows})
    chosen = [row for row in rows if _wanted(row, request)]
    out = session.console
    if request.quiet:
        for row in chosen:
            out.print(row.id)
    elif request.only_services:
        for service in dict.fromkeys(row.service for row in chosen):
            out.print(service)
    elif request.format == "json":
        for row in chosen:
            out.print(as_docker_json(row, session.project))
    else:
        out.out.write(table(HEADER, (cells(row, whole=request.no_trunc) for row in chosen)))
        for row in chosen:
            if row.notice:
                out.say(f"{row.name}: {row.notice}")
    return 0


def _wanted(row: Row, request: Request) -> bool:
    if request.services and row.service not in request.services:
        return False
    if request.status:
        return row.docker_state in request.status
    return request.all or row.alive
