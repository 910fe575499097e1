"""``stackup logs``: what the containers have printed, in the order of time over all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stackup.base.errors import UsageError
from stackup.cli.containers import Row, read
from stackup.cli.loglines import LogPrinter
from stackup.cli.moments import moment_ns
from stackup.cli.naming import with_containers
from stackup.cli.options import switch, value
from stackup.cli.session import Session
from stackup.cli.verbs.common import services

if TYPE_CHECKING:
    from stackup.cli.client import Client


def tail_of(text: str) -> int | None:
    """``all`` is None. Raises ValueError."""
    if text == "all":
        return None
    if not text.isdecimal():
        raise ValueError(f"{text!r} is neither a number nor 'all'")
    return int(text)


def pattern_of(text: str) -> object:
    """Raises ValueError."""
    import re

    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None


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
    grep: str = value(
        "--grep", help="Only lines in which this regular expression is found; --tail counts these.", default="",
        metavar="REGEX", check=pattern_of,
    )  # fmt: skip
    index: int = value("--index", help="Only this container of each service.", kind=int, default=0, metavar="NUMBER")
    files: str = value("--files", help="Write a file for each service into this directory.", default="", metavar="DIR")


def run(session: Session, request: Request) -> int:
    rows = read(session, steps=True) if request.services or request.index or not request.follow else []
    chosen: tuple[str, ...] = ()
    if request.services:
        chosen = with_containers(session, "show logs of", request.services, {row.service for row in rows})
        if not chosen:
            return 0
    if request.index:
        _check_index(request.index, [row for row in rows if not chosen or row.service in chosen])
    for text in unstarted(rows, chosen, request.index):
        session.console.warn(text)
    printer = _printer(session, request)
    try:
        client = _supervisor(session) if request.follow else None
        if client is None:
            return _past(session, request, printer, rows)
        from stackup.cli.follow import Follower

        follower = Follower(session, client, "logs", logs=printer, cancellable=False)
        return follower.run("logs", _args(request, chosen)).exit_code
    finally:
        printer.close()


def unstarted(rows: Iterable[Row], services: Collection[str], index: int) -> list[str]:
    """Why those that have never run have nothing to show: no output of theirs can say it. ``services``: none is all."""
    return [
        f"{row.name} has printed nothing: {row.notice}"
        for row in rows
        if row.notice and not row.started_ns and (not services or row.service in services) and index in (0, row.number)
    ]


def _supervisor(session: Session) -> Client | None:
    """Who tells what comes; None where nothing will."""
    client = session.connect()
    if client is None and any(row.alive for row in read(session)):
        client = session.ensure()
    return client


def _args(request: Request, chosen: tuple[str, ...]) -> dict[str, Any]:
    return {
        "services": list(chosen),
        "tail": tail_of(request.tail),
        "since_ns": _moment(request.since),
        "until_ns": _moment(request.until),
        "grep": request.grep,
        "index": request.index,
    }


def _printer(session: Session, request: Request) -> LogPrinter:
    options: dict[str, Any] = {
        "prefix": not request.no_log_prefix,
        "colour": not request.no_color,
        "timestamps": request.timestamps,
        "eager": request.follow,
    }
    if not request.files:
        return LogPrinter(session.console, session.project, **options)
    from stackup.cli.logfiles import FilePrinter

    return FilePrinter.into(session.cwd, request.files, session.console, session.project, options)


def _check_index(index: int, rows: list[Row]) -> None:
    numbers = sorted({row.number for row in rows})
    if numbers and index not in numbers:
        raise UsageError(
            f"cannot show logs of container {index}: there is none of that number",
            hint=f"there are: {', '.join(map(str, numbers))}",
        )


def _past(session: Session, request: Request, printer: LogPrinter, rows: list[Row]) -> int:
    """Nobody has to be asked: the files are read here."""
    from stackup.engine.logmerge import matcher, merged_chunks

    chosen = [
        row
        for row in rows
        if (not request.services or row.service in request.services) and request.index in (0, row.number)
    ]
    paths = session.layout.project(session.project)
    printer.announce((row.name, row.service) for row in chosen)
    services = {row.name: row.service for row in chosen}
    chunks = merged_chunks(
        [(row.name, paths.container(row.id).state) for row in chosen],
        tail=tail_of(request.tail),
        since_ns=_moment(request.since),
        until_ns=_moment(request.until),
        keep=matcher(request.grep),
    )
    for time_ns, name, stream, data in chunks:
        printer.lines(name, services[name], stream, time_ns, data)
    printer.flush()
    return 0


def _moment(text: str) -> int:
    return moment_ns(text) if text else 0
