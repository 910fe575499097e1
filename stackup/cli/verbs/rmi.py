"""``stackup rmi``: names are taken away from images, and images without a name out of the store."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.imagechanges import remove
from stackup.cli.options import argument, switch
from stackup.cli.session import Session


@dataclass(frozen=True)
class Request:
    """Remove images, by name or id; one that a container stands on stays."""

    images: tuple[str, ...] = argument("Names or ids.", metavar="IMAGE", many=True, required=True)
    force: bool = switch(
        "-f", "--force", help="Also one with several names, by its id, or one that a container was made from; one that "
        "does not exist is no error.",
    )  # fmt: skip


def run(session: Session, request: Request) -> int:
    return remove(session, request.images, force=request.force)
