"""``stackup import``: a root file system becomes an image."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from stackup.base.errors import ImageError, UsageError
from stackup.cli.changes import image_config
from stackup.cli.options import argument, switch, value, values
from stackup.cli.progress import single_action
from stackup.cli.session import Session


@dataclass(frozen=True)
class Request:
    """Make an image of a root file system: a directory, a tar archive (.gz, .xz, .zst too), its URL, or - for standard
    input."""

    source: str = argument("Directory, archive, URL, or - for standard input.", metavar="SOURCE", required=True)
    reference: str = argument("Name of the image (default: none).", metavar="NAME[:TAG]")
    change: tuple[str, ...] = values(
        "-c", "--change", help="Dockerfile instruction to apply, such as 'CMD [\"/bin/sh\"]'.", metavar="INSTRUCTION"
    )
    message: str = value("-m", "--message", help="A note for the image's history.", metavar="TEXT", default="")
    platform: str = value("--platform", help="What it is for (default: this machine).", metavar="OS/ARCH", default="")
    quiet: bool = switch("-q", "--quiet", help="Print only the image's id.")


def run(session: Session, request: Request) -> int:
    from stackup.images.store import DEFAULT_PATH, ImageStore
    from stackup.oci.image import ImageConfig
    from stackup.oci.platforms import parse_platform

    config = image_config(request.change, ImageConfig(env=(DEFAULT_PATH,), cmd=("/bin/sh",)))
    platform = parse_platform(request.platform) if request.platform else None
    store = ImageStore(session.layout)
    with (
        _source(session, request.source) as (source, label),
        single_action(session, "import", f"image {request.reference}".strip(), quiet=request.quiet) as say,
    ):
        image = store.import_rootfs(source, request.reference, config, say, platform, request.message, label)
    if request.quiet or not request.reference:
        session.console.print(image.id)
    return 0


@contextmanager
def _source(session: Session, source: str) -> Iterator[tuple[Path | BinaryIO, str]]:
    """With what the image's history calls it, where that is not its path."""
    if source.startswith(("http://", "https://")):
        from stackup.build.download import opened

        with opened(source) as answer:
            yield cast("BinaryIO", answer), source
    else:
        yield _local(session, source), ""


def _local(session: Session, source: str) -> Path | BinaryIO:
    if source == "-":
        if sys.stdin.isatty():
            raise UsageError("cannot read an archive from the terminal", hint="stackup import - NAME < rootfs.tar")
        return sys.stdin.buffer
    path = Path(session.cwd, os.path.expanduser(source))
    if not path.exists():
        raise ImageError(f"cannot import {source}: there is no such file or directory")
    return path
