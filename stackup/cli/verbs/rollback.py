"""``stackup rollback``: services as they were before their last change."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.options import argument, switch
from stackup.cli.session import Session
from stackup.cli.verbs.common import send, timeout


@dataclass(frozen=True)
class Request:
    """Give services back the configuration and the image that they had before; the next `up` follows the file again."""

    services: tuple[str, ...] = argument("Services.", metavar="SERVICE", many=True, required=True)
    timeout: int | None = timeout()
    dry_run: bool = switch("--dry-run", help="Print what would be done, and do nothing.")


def run(session: Session, request: Request) -> int:
    if request.dry_run:
        from stackup.cli.verbs.plan import show

        return show(session, "rollback", vars(request))
    return send(session, "rollback", vars(request)).exit_code
