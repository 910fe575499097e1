"""``stackup wait``: until containers have ended."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.base.errors import UsageError
from stackup.cli.asking import ask
from stackup.cli.containers import read
from stackup.cli.naming import with_containers
from stackup.cli.options import argument, switch
from stackup.cli.session import Session
from stackup.cli.verbs.common import send


@dataclass(frozen=True)
class Request:
    """Wait until all containers of services have ended; end with the exit code of the last one."""

    services: tuple[str, ...] = argument("Services.", metavar="SERVICE", many=True)
    down_project: bool = switch("--down-project", help="Take the project down as soon as the first one has ended.")


def run(session: Session, request: Request) -> int:
    if not request.services:
        raise UsageError("cannot wait: no service is named", hint="stackup wait SERVICE")
    having = {row.service for row in read(session)}
    chosen = with_containers(session, "wait for", request.services, having)
    if not chosen:
        raise UsageError(f"cannot wait for {', '.join(request.services)}: no containers")
    args = {"services": list(chosen), "first": request.down_project}
    ended = ask(session, session.ensure(), "wait", args)
    code = 0
    for item in ended:
        code = 1 if item["code"] is None else int(item["code"])
        session.console.print(f"container {item['name']} exited with status code {code}")
    if request.down_project:
        send(session, "down", {})
    return code
