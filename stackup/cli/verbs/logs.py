"""``stackup logs``: what the containers have printed, in the order of time over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackup.cli.containers import Row, read
from stackup.cli.loglines import LogPrinter
from stackup.cli.moments import moment_ns
from stackup.cli.naming import with_containers
from stackup.cli.options import switch, value
from stackup.cli.session import Session
from stackup.cli.verbs.common import services


def tail_of(text: str) -> int | None:
    """``all`` is None. Raises ValueError."""
    if text == "all":
        return None
    if not text.isdecimal():
        raise ValueError(f"{text!r} is neither a number nor 'all'")
    return int(text)


@dataclass(frozen=True)
class Request:
    """Show what containers have printed."""

    services: tuple[str, ...] = services()
    follow: bool = switch("-f", "--follow", help="Go on with what comes.")
    tail: str = value(
        "-n", "--tail", help="Lines from the end, of each container.", default="all", metavar="LINES", check=tail_of
    )
    timestamps: bool = switch("-t", "--timestamps", help="Lines with their time.")
    no_log_prefix: bool = switch("--no-log-prefix", help="Lines without the container's name.")
    no_color: bool = switch("--no-color", help="Lines without colour.")
    since: str = value(
        "--since", help="Only lines after: a time (2026-01-02T13:23:37Z) or a duration (42m).", default="",
        metavar="TIME", check=moment_ns,
    )  # fmt: skip
    until: str = value("--until", help="Only lines before.", default="", metavar="TIME", check=moment_ns)


def run(session: Session, request: Request) -> int:
    printer = LogPrinter(
        session.console,
        session.project,
        prefix=not request.no_log_prefix,
        colour=not request.no_color,
        timestamps=request.timestamps,
        eager=request.follow,
    )
    chosen: tuple[str, ...] = ()
    if request.services:
        having = {row.service for row in read(session)}
        chosen = with_containers(session, "show logs of", request.services, having)
        if not chosen:
            return 0
    client = session.connect()
    rows = [] if client is not None else read(session)
    if client is None and request.follow and any(row.alive for row in rows):
        client = session.ensure()
    if client is None:
        return _offline(session, request, printer, rows)
    args: dict[str, Any] = {
        "services": list(chosen),
        "follow": request.follow,
        "tail": tail_of(request.tail),
        "since_ns": _moment(request.since),
        "until_ns": _moment(request.until),
    }
    from stackup.cli.follow import Follower

    return Follower(session, client, "logs", logs=printer, cancellable=False).run("logs", args).exit_code


def _offline(session: Session, request: Request, printer: LogPrinter, rows: list[Row]) -> int:
    """Nobody has to be asked: the files are read here."""
    from stackup.engine.logreader import read_merged

    chosen = [row for row in rows if not request.services or row.service in request.services]
    paths = session.layout.project(session.project)
    printer.announce((row.name, row.service) for row in chosen)
    services = {printer.short(row.name): row.service for row in chosen}
    lines = read_merged(
        [(printer.short(row.name), paths.container(row.id).state) for row in chosen],
        tail=tail_of(request.tail),
        since_ns=_moment(request.since),
        until_ns=_moment(request.until),
    )
    for line in lines:
        printer.line(
            {
                "name": line.name,
                "service": services[line.name],
                "stream": line.stream,
                "time_ns": line.time_ns,
                "line": line.text,
            }
        )
    printer.flush()
    return 0


def _moment(text: str) -> int:
    return moment_ns(text) if text else 0
