"""``stackup exec``: a process inside a running container, on this terminal."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from stackup.base.errors import HostUnfit
from stackup.cli.asking import exit_code
from stackup.cli.client import Client
from stackup.cli.naming import with_containers
from stackup.cli.options import argument, switch, value, values
from stackup.cli.session import Session

POSITIONAL_LAST = True


@dataclass(frozen=True)
class Request:
    """Run a command in a running container."""

    service: str = argument("Service.", metavar="SERVICE", required=True)
    command: tuple[str, ...] = argument("Command and its arguments.", metavar="COMMAND", many=True, required=True)
    detach: bool = switch("-d", "--detach", help="Leave the command running in the background.")
    no_tty: bool = switch("-T", "--no-tty", "--no-TTY", help="No terminal for the command.")
    env: tuple[str, ...] = values("-e", "--env", help="Environment variable.", metavar="KEY=VALUE")
    index: int = value("--index", help="Number of the container (default: the first).", default=0, kind=int)
    privileged: bool = switch("--privileged", help="All capabilities, no seccomp filter.")
    user: str = value("-u", "--user", help="User, by name or number.", default="", metavar="USER[:GROUP]")
    workdir: str = value("-w", "--workdir", help="Working directory.", default="", metavar="PATH")
    interactive: bool = switch("-i", "--interactive", help="Ignored: input is always passed on.", hidden=True)
    tty: bool = switch(
        "-t", "--tty", help="Ignored: there is a terminal unless -T is given.", hidden=True, opposite="no_tty"
    )


def run(session: Session, request: Request) -> int:
    client = session.connect()
    if client is None and session.known():
        client = session.ensure()
    if client is None:
        with_containers(session, "exec in", (request.service,), ())
        raise HostUnfit(
            f"cannot exec in service {request.service}: it is not running",
            hint=f"start it: stackup up -d {request.service}",
        )
    tty = not request.no_tty and not request.detach and os.isatty(0) and os.isatty(1)
    args: dict[str, Any] = {
        "service": request.service,
        "command": list(request.command),
        "detach": request.detach,
        "tty": tty,
        "env": [_with_value(item, session) for item in request.env],
        "index": request.index,
        "privileged": request.privileged,
        "user": request.user,
        "workdir": request.workdir,
    }
    if tty:
        from stackup.cli.console import interactive

        return interactive(session, client, args)
    return plain(session, client, args)


def plain(session: Session, client: Client, args: dict[str, Any]) -> int:
    """Without a terminal the command gets our own descriptors, so that nothing is copied."""
    from stackup.cli.follow import Follower

    nothing = os.open(os.devnull, os.O_RDWR) if args["detach"] else -1
    try:
        fds = (nothing,) * 3 if args["detach"] else (0, 1, 2)
        outcome = Follower(session, client, "exec", cancellable=False).run("exec", args, fds=fds)
    finally:
        if nothing >= 0:
            os.close(nothing)
    return exit_code(outcome.errors, outcome.exit_code)


def _with_value(item: str, session: Session) -> str:
    """``-e NAME`` alone passes the caller's value on."""
    return item if "=" in item else f"{item}={session.environment.get(item, '')}"
