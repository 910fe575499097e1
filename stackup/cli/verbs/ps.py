"""``stackup ps``: the project's containers, as ``docker compose ps`` lists them."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.base.errors import UsageError
from stackup.cli.containers import HEADER, Row, as_docker_json, cells, docker_fields, read
from stackup.cli.formats import checked, is_template
from stackup.cli.naming import with_containers
from stackup.cli.options import switch, value, values
from stackup.cli.session import Session
from stackup.cli.table import table
from stackup.cli.things import filters
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
    filter: tuple[str, ...] = values("--filter", help="As --status: status=STATE.", metavar="KEY=VALUE")
    format: str = value(
        "--format", help="table, json, or a template such as '{{.Name}}'.", default="table",
        metavar="FORMAT", check=checked("table", "json"),
    )  # fmt: skip
    no_trunc: bool = switch("--no-trunc", help="Do not shorten anything.")


def run(session: Session, request: Request) -> int:
    states = _states(request)
    rows = read(session)
    with_containers(session, "list", request.services, {row.service for row in rows})
    chosen = [row for row in rows if _wanted(row, request, states)]
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
    elif is_template(request.format):
        from stackup.cli.templates import listed

        out.out.write(
            listed(request.format, (docker_fields(row, session.project) for row in chosen), {"ID": "CONTAINER ID"})
        )
    else:
        out.out.write(table(HEADER, (cells(row, whole=request.no_trunc) for row in chosen)))
        for row in chosen:
            if row.notice:
                out.say(f"{row.name}: {row.notice}")
    return 0


def _states(request: Request) -> set[str]:
    """Raises UsageError."""
    found = {*request.status, *filters(request.filter, ("status",)).get("status", ())}
    for state in found.difference(STATES):
        raise UsageError(f"cannot filter by status={state}: there is no such state", hint=f"known: {', '.join(STATES)}")
    return found


def _wanted(row: Row, request: Request, states: set[str]) -> bool:
    if request.services and row.service not in request.services:
        return False
    return row.docker_state in states if states else request.all or row.alive
