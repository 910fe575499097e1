"""``stackup image diff``: files that differ between two images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackup.base.foreign import PATH_MAX, shown
from stackup.cli.imagelists import store_of
from stackup.cli.options import argument, value
from stackup.cli.session import Session
from stackup.cli.table import human_size

if TYPE_CHECKING:
    from stackup.images.comparing import Difference
    from stackup.images.image import Image
    from stackup.images.store import ImageStore


@dataclass(frozen=True)
class Request:
    """Show the files that one image has and another has not, or has otherwise: A added, C changed, D deleted."""

    before: str = argument("Name or id.", metavar="IMAGE", required=True)
    after: str = argument("Name or id of the image to compare it with.", metavar="OTHER", required=True)
    format: str = value("--format", help="Output format.", default="text", choices=("text", "json"))


def run(session: Session, request: Request) -> int:
    from stackup.images.comparing import compare

    store = store_of(session)
    images = [_image(store, name) for name in (request.before, request.after)]
    found = compare(*images)
    if request.format == "json":
        session.console.print(json.dumps([_json(item) for item in found], indent=2))
        return 0
    for item in found:
        session.console.print(f"{item.kind} {shown(item.path, PATH_MAX)}{_sizes(item)}")
    return 0


def _image(store: ImageStore, name: str) -> Image:
    from stackup.images.describing import found

    image = store.image(found(store, name, "compare"), name)
    store.materialize(image)
    return image


def _sizes(item: Difference) -> str:
    if item.kind == "C":
        sizes = (
            f"{human_size(item.before or 0)} -> {human_size(item.after or 0)}, " if item.before != item.after else ""
        )
        return f"  ({sizes}{item.why})"
    size = item.before if item.after is None else item.after
    return f"  ({human_size(size)})" if size else ""


def _json(item: Difference) -> dict[str, object]:
    return {"Kind": item.kind, "Path": item.path, "Before": item.before, "After": item.after, "Changed": item.why}
