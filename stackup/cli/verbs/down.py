"""``stackup down``: the project goes away; images and named volumes stay."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.options import switch
from stackup.cli.session import Session
from stackup.cli.verbs.common import change, services, timeout


@dataclass(frozen=True)
class Request:
    """Stop and remove containers and networks."""

    services: tuple[str, ...] = services()
    volumes: bool = switch("-v", "--volumes", help="Remove named and anonymous volumes too; their data is lost.")
    timeout: int | None = timeout()
    remove_orphans: bool = switch("--remove-orphans", help="Remove containers of services that the file has no more.")
    dry_run: bool = switch("--dry-run", help="Print what would be done, and do nothing.")


def run(session: Session, request: Request) -> int:
    if request.dry_run:
        from stackup.cli.verbs.plan import show

        return show(session, "down", vars(request))
    return change(session, "down", request, missing="nothing to remove", words="take down")
