"""``stackup ps``: the project's containers, as ``docker compose ps`` lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackup.base.errors import UsageError
from stackup.cli.asking import ask
from stackup.cli.containers import HEADER, Row, as_docker_json, cells
from stackup.cli.options import switch, value, values
from stackup.cli.session import Session
from stackup.cli.table import table
from stackup.cli.verbs.common import services

STATES = ("created", "restarting", "running", "removing", "exited")


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
    _check_services(request, rows)
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


def read(session: Session) -> list[Row]:
    """All containers of the project: from its supervisor, or from the records when none runs."""
    client = session.connect()
    data: list[dict[str, Any]]
    if client is not None:
        data = ask(session, client, "ps", {"all": True})
    elif session.known():
        from stackup.engine.status import read_ps

        data = read_ps(session.layout, session.project)
    else:
        data = []
    rows = [Row.from_dict(item) for item in data]
    return sorted(rows, key=lambda row: (row.service, row.number))


def _check_services(request: Request, rows: list[Row]) -> None:
    known = {row.service for row in rows}
    for service in request.services:
        if service not in known:
            raise UsageError(f"cannot list service {service}: the project has no container of it")


def _wanted(row: Row, request: Request) -> bool:
    if request.services and row.service not in request.services:
        return False
    if request.status:
        return row.docker_state in request.status
    return request.all or row.alive
