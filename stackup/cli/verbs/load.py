"""``stackup load``: images out of an archive of ``docker save``, ``podman save``, ``skopeo`` or ``stackup save``."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.archives import read_in
from stackup.cli.imagelists import store_of
from stackup.cli.options import switch, value
from stackup.cli.progress import single_action
from stackup.cli.session import Session


@dataclass(frozen=True)
class Request:
    """Take images, with their names, out of an archive (.gz, .xz, .zst too) or an OCI layout directory."""

    input: str = value("-i", "--input", help="To read instead of standard input.", metavar="PATH", default="-")
    platform: str = value("--platform", help="Of an image for several.", metavar="OS/ARCH[/VARIANT]", default="")
    quiet: bool = switch("-q", "--quiet", help="No progress.")


def run(session: Session, request: Request) -> int:
    from stackup.images.loading import load

    source = read_in(session, request.input, "an archive", "load")
    target = "images" if request.input == "-" else f"images of {request.input}"
    with single_action(session, "load", target, quiet=request.quiet) as say:
        found = load(store_of(session), source, platform=request.platform, say=say)
    for item in found:
        for name in item.names:
            session.console.print(f"Loaded image: {name}")
        if not item.names:
            session.console.print(f"Loaded image ID: {item.id}")
    return 0
