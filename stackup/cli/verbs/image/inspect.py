"""``stackup image inspect``: ``stackup inspect`` of images alone."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.formats import checked
from stackup.cli.options import argument, value
from stackup.cli.session import Session
from stackup.cli.verbs import inspect


@dataclass(frozen=True)
class Request:
    """Show images in detail, as a JSON list with docker's keys."""

    images: tuple[str, ...] = argument("Names or ids.", metavar="IMAGE", many=True, required=True)
    format: str = value(
        "-f", "--format", help="json, or a template such as '{{.Id}}' or '{{json .Config}}'.", default="",
        metavar="FORMAT", check=checked("json"),
    )  # fmt: skip


def run(session: Session, request: Request) -> int:
    return inspect.run(session, inspect.Request(request.images, format=request.format, type="image"))
