"""``stackup volume inspect``: everything about volumes, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackup.cli.options import argument
from stackup.cli.session import Session
from stackup.cli.things import each, print_list
from stackup.cli.volumes import find, whole


@dataclass(frozen=True)
class Request:
    """Show volumes in detail, as a JSON list."""

    names: tuple[str, ...] = argument("Names.", metavar="VOLUME", many=True, required=True)


def run(session: Session, request: Request) -> int:
    found = list[dict[str, Any]]()
    try:
        each(request.names, lambda name: found.append(whole(find(session, name))))
    finally:
        print_list(session, found)
    return 0
