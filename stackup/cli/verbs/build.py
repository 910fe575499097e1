"""``stackup build``: images of services that say how they are built."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.options import switch, values
from stackup.cli.session import Session
from stackup.cli.verbs.common import send, services


@dataclass(frozen=True)
class Request:
    """Build the images of services."""

    services: tuple[str, ...] = services("Services (default: all that have a build section).")
    build_arg: tuple[str, ...] = values("--build-arg", help="Build-time variable.", metavar="KEY=VALUE")
    no_cache: bool = switch("--no-cache", help="Do not use layers that were built before.")
    pull: bool = switch("--pull", help="Look for newer base images.")
    quiet: bool = switch("-q", "--quiet", help="Only errors.")
    with_dependencies: bool = switch("--with-dependencies", help="Build what these services depend on, too.")


def run(session: Session, request: Request) -> int:
    args = {**vars(request), "build_arg": [_with_value(item, session) for item in request.build_arg]}
    return send(session, "build", args, quiet=request.quiet).exit_code


def _with_value(item: str, session: Session) -> str:
    """``--build-arg NAME`` alone passes the caller's value on."""
    return item if "=" in item else f"{item}={session.environment.get(item, '')}"
