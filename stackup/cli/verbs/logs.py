"""``stackup logs``: what the containers have printed, in the order of time over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackup.cli.follow import Follower
from stackup.cli.loglines import LogPrinter
from stackup.cli.moments import moment_ns
from stackup.cli.options import switch, value
from stackup.cli.session import Session
from stackup.cli.verbs.common import existing, services


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
    client = existing(session)
    if client is None:
        session.console.warn(f"no containers in project {session.project}")
        return 0
    args: dict[str, Any] = {
        "services": list(request.services),
        "follow": request.follow,
        "tail": tail_of(request.tail),
        "since_ns": moment_ns(request.since) if request.since else 0,
        "until_ns": moment_ns(request.until) if request.until else 0,
    }
    printer = LogPrinter(
        session.console,
        session.project,
        prefix=not request.no_log_prefix,
        colour=not request.no_color,
        timestamps=request.timestamps,
        eager=request.follow,
    )
    return Follower(session, client, "logs", logs=printer, cancellable=False).run("logs", args).exit_code
