"""``stackup image base``: what an image was made from, as far as that can be known here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackup.base.errors import ImageError
from stackup.cli.imagelists import NONE, short_id, store_of
from stackup.cli.options import argument, value
from stackup.cli.session import Session
from stackup.cli.table import table

if TYPE_CHECKING:
    from stackup.images.comparing import Base


@dataclass(frozen=True)
class Request:
    """Say which image an image was made from: one stored here whose layers are its lowest, or what its maker noted."""

    image: str = argument("Name or id.", metavar="IMAGE", required=True)
    format: str = value("--format", help="Output format.", default="table", choices=("table", "json"))


def run(session: Session, request: Request) -> int:
    from stackup.images.comparing import bases
    from stackup.images.describing import found

    store = store_of(session)
    descriptor = found(store, request.image, "look up the base of")
    known = bases(store, store.image(descriptor, request.image), dict(store.manifest(descriptor).annotations))
    if request.format == "json":
        data = [
            {
                "Name": item.name,
                "Digest": item.digest,
                "How": item.how,
                "SharedLayers": item.layers,
                "Layers": item.total,
            }
            for item in known
        ]
        session.console.print(json.dumps(data, indent=2))
        return 0 if known else 1
    if not known:
        raise ImageError(
            f"cannot tell the base of '{request.image}': no stored image has its lowest layers, and it carries no note",
            hint="pull or build the likely base, and ask again",
        )
    rows = [
        (
            item.name or NONE,
            short_id(item.digest) or NONE,
            _how(item),
        )
        for item in known
    ]
    session.console.out.write(table(("BASE", "DIGEST", "HOW IT IS KNOWN"), rows))
    return 0


def _how(item: Base) -> str:
    if item.how != "layers":
        return "noted by its maker"
    shared = "lowest layer" if item.layers == 1 else f"{item.layers} lowest layers"
    return f"same {shared}, of {item.total}"
