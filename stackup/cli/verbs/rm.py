"""``stackup rm``: containers that have ended go away; what they wrote into themselves goes with them."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from stackup.base.errors import PlanRefused
from stackup.cli.containers import Row, read
from stackup.cli.options import switch
from stackup.cli.session import Session
from stackup.cli.verbs.common import change, services


@dataclass(frozen=True)
class Request:
    """Remove containers that do not run."""

    services: tuple[str, ...] = services()
    force: bool = switch("-f", "--force", help="Do not ask.")
    stop: bool = switch("-s", "--stop", help="Stop them first where they run.")
    volumes: bool = switch("-v", "--volumes", help="Remove their anonymous volumes too.")


def run(session: Session, request: Request) -> int:
    found = [row for row in read(session) if row.service in request.services or not request.services]
    going = [row for row in found if request.stop or not row.alive]
    if found and not going:
        session.console.warn("no stopped containers")
        return 0
    if going and not request.force:
        _ask(session, going)
    return change(session, "rm", request, missing="no containers to remove", words="remove")


def _ask(session: Session, going: list[Row]) -> None:
    """Raises PlanRefused unless a person says yes."""
    names = ", ".join(row.name for row in going)
    if not sys.stdin.isatty():
        raise PlanRefused(f"cannot remove {names}: nobody is there to confirm it", hint="give --force")
    session.console.err.write(f"Going to remove {names}. Are you sure? [y/N] ")
    session.console.err.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise PlanRefused(f"cannot remove {names}: not confirmed")
