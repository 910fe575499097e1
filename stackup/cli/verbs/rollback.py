"""``stackup rollback``: services as they were before their last change."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.base.errors import UsageError
from stackup.cli.options import argument
from stackup.cli.session import Session
from stackup.cli.verbs.common import send, timeout


@dataclass(frozen=True)
class Request:
    """Give services back the configuration and the image that they had before; the next `up` follows the file again."""

    services: tuple[str, ...] = argument("Services.", metavar="SERVICE", many=True)
    timeout: int | None = timeout()


def run(session: Session, request: Request) -> int:
    if not request.services:
        raise UsageError("cannot roll back: no service is named", hint="stackup rollback SERVICE")
    return send(session, "rollback", vars(request)).exit_code
