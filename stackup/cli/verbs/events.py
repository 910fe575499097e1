"""``stackup events``: what happens to the project's containers, networks and volumes, and what has happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackup.base.clock import now_ns
from stackup.cli.containers import read
from stackup.cli.eventlines import event_json, event_text
from stackup.cli.moments import moment_ns
from stackup.cli.naming import with_containers
from stackup.cli.options import switch, value
from stackup.cli.session import Session
from stackup.cli.verbs.common import services


@dataclass(frozen=True)
class Request:
    """Show events as they happen; with --since, those of the past first."""

    services: tuple[str, ...] = services()
    json: bool = switch("--json", help="A JSON object for each event.")
    since: str = value(
        "--since", help="From then on: a time (2026-01-02T13:23:37Z) or a duration (42m).", default="",
        metavar="TIME", check=moment_ns,
    )  # fmt: skip
    until: str = value("--until", help="Until then, and end.", default="", metavar="TIME", check=moment_ns)


def run(session: Session, request: Request) -> int:
    if request.services:
        with_containers(session, "show events of", request.services, {row.service for row in read(session)})
    write = event_json if request.json else event_text

    def show(event: dict[str, Any]) -> None:
        session.console.print(write(event))
        session.console.out.flush()

    since_ns = moment_ns(request.since) if request.since else 0
    until_ns = moment_ns(request.until) if request.until else 0
    if until_ns and until_ns <= now_ns():
        from stackup.engine.chronicle import chosen, entries, events_path

        past = entries(events_path(session.layout, session.project))
        for event in chosen(past, request.services, since_ns, until_ns):
            show(event)
        return 0
    from stackup.cli.follow import Follower

    client = session.connect() or session.ensure()
    follower = Follower(session, client, "events", on_happened=show, cancellable=False)
    args = {"services": list(request.services), "since_ns": since_ns, "until_ns": until_ns}
    return follower.run("events", args).exit_code
