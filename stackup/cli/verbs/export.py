"""``stackup export``: a container's root file system as one tar archive."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.archives import write_out
from stackup.cli.containerfinding import container, overlays_of
from stackup.cli.options import argument, value
from stackup.cli.session import Session


@dataclass(frozen=True)
class Request:
    """Write a container's root file system, without its volumes, as a tar archive; `import` makes an image of it."""

    container: str = argument("Service, or name or id of a container.", metavar="CONTAINER", required=True)
    output: str = value("-o", "--output", help="File instead of standard output.", metavar="FILE", default="")
    index: int = value("--index", help="Which of the service's containers.", kind=int, default=0, metavar="NUMBER")


def run(session: Session, request: Request) -> int:
    from stackup.images.flatten import flat_tar

    definition = container(session, "export", request.container, request.index).definition
    write_out(session, flat_tar(overlays_of(definition)), request.output, "an archive")
    return 0
