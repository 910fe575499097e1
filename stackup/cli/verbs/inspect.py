"""``stackup inspect``: everything about images, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackup.cli.imagelists import store_of
from stackup.cli.options import argument
from stackup.cli.session import Session
from stackup.cli.things import each, print_list


@dataclass(frozen=True)
class Request:
    """Show images in detail, as a JSON list with docker's keys."""

    images: tuple[str, ...] = argument("Names or ids.", metavar="IMAGE", many=True, required=True)


def run(session: Session, request: Request) -> int:
    from stackup.images.describing import inspect

    store, found = store_of(session), list[dict[str, Any]]()
    try:
        each(request.images, lambda name: found.append(inspect(store, name)))
    finally:
        print_list(session, found)
    return 0
