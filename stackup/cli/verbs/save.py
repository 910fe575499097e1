"""``stackup save``: images into an archive, or a directory, that other tools read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from stackup.base.errors import UsageError
from stackup.cli.archives import write_out
from stackup.cli.imagelists import store_of
from stackup.cli.options import argument, value
from stackup.cli.session import Session


@dataclass(frozen=True)
class Request:
    """Write images, with all their layers and names, to a file or standard output, for load of stackup or docker."""

    images: tuple[str, ...] = argument("Names or ids.", metavar="IMAGE", many=True, required=True)
    output: str = value("-o", "--output", help="To write to instead of standard output.", metavar="PATH", default="")
    format: str = value(
        "--format", help="Kind of archive; oci-dir adds to a directory.", default="docker-archive",
        choices=("docker-archive", "oci-archive", "oci-dir"),
    )  # fmt: skip
    platform: str = value("--platform", help="Only the image for it.", metavar="OS/ARCH[/VARIANT]", default="")


def run(session: Session, request: Request) -> int:
    from stackup.images import saving

    store = store_of(session)
    if request.format == saving.OCI_DIRECTORY:
        if not request.output:
            raise UsageError("cannot save as oci-dir to standard output", hint="--output DIRECTORY")
        target = Path(session.cwd, os.path.expanduser(request.output))
        saving.to_directory(store, request.images, target, request.platform)
        return 0
    chunks = saving.archive(store, request.images, request.format, request.platform)
    write_out(session, chunks, request.output, "an archive of images")
    return 0
