"""``stackup volume inspect``: everything about volumes, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackup.base.errors import NotFound
from stackup.cli.options import argument
from stackup.cli.session import Session
from stackup.cli.things import each, print_list
from stackup.cli.volumes import whole


@dataclass(frozen=True)
class Request:
    """Show volumes in detail, as a JSON list."""

    names: tuple[str, ...] = argument("Names.", metavar="VOLUME", many=True, required=True)


def run(session: Session, request: Request) -> int:
    from stackup.volumes.store import VolumeStore

    store, found = VolumeStore(session.layout), list[dict[str, Any]]()

    def add(name: str) -> None:
        volume = store.get(name)
        if volume is None:
            raise NotFound(f"cannot find volume {name}: there is no such volume", hint="stackup volume ls")
        found.append(whole(volume))

    try:
        each(request.names, add)
    finally:
        print_list(session, found)
    return 0
