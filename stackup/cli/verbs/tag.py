"""``stackup tag``: another name for an image."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.imagelists import store_of
from stackup.cli.options import argument
from stackup.cli.session import Session


@dataclass(frozen=True)
class Request:
    """Give an image another name; what had that name before stays without it."""

    source: str = argument("The image, by name or id.", metavar="SOURCE", required=True)
    target: str = argument("The new name.", metavar="NAME[:TAG]", required=True)


def run(session: Session, request: Request) -> int:
    store_of(session).tag(request.source, request.target)
    return 0
