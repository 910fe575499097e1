"""``stackup commit``: what a container has written becomes an image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackup.base.errors import ImageError, UsageError
from stackup.cli.asrun import as_run
from stackup.cli.changes import image_config
from stackup.cli.containerfinding import container, overlays_of
from stackup.cli.imagelists import store_of
from stackup.cli.options import argument, switch, value, values
from stackup.cli.progress import single_action
from stackup.cli.session import Session

if TYPE_CHECKING:
    from stackup.engine.records import ContainerRecord


@dataclass(frozen=True)
class Request:
    """Make an image of a container: its image's layers and one with what it has written, volumes not among it."""

    container: str = argument("Service, or name or id of a container.", metavar="CONTAINER", required=True)
    reference: str = argument("Name of the image (default: none).", metavar="NAME[:TAG]")
    author: str = value("-a", "--author", help="Who made it.", metavar="TEXT", default="")
    change: tuple[str, ...] = values(
        "-c", "--change", help="Dockerfile instruction to apply, such as 'CMD [\"/bin/sh\"]'.", metavar="INSTRUCTION"
    )
    message: str = value("-m", "--message", help="What changed.", metavar="TEXT", default="")
    index: int = value("--index", help="Which of the service's containers.", kind=int, default=0, metavar="NUMBER")
    pause: bool = switch("-p", "--pause", help="Pause it meanwhile; this is the default.", opposite="no_pause")
    no_pause: bool = switch("--no-pause", help="Let it run meanwhile: files may be caught half-written.")


def run(session: Session, request: Request) -> int:
    from stackup.images.committing import commit

    if request.pause and request.no_pause:
        raise UsageError("cannot use --pause together with --no-pause")
    record = container(session, "commit", request.container, request.index)
    definition, store = record.definition, store_of(session)
    image = store.resolve(definition.image_id)
    if image is None:
        raise ImageError(
            f"cannot commit {definition.name}: its image {definition.image} is not here any more",
            hint="`stackup export` and `stackup import` make an image of it without its layers",
        )
    config = image_config(request.change, as_run(image.config, definition.config))
    target = f"container {definition.name}"
    with single_action(session, "commit", target, quiet=True), _paused(record, not request.no_pause):
        made = commit(
            store, definition.image_id, overlays_of(definition), request.reference, config,
            author=request.author, message=request.message, created_by=definition.command,
        )  # fmt: skip
    session.console.print(made.id)
    return 0


@contextmanager
def _paused(record: ContainerRecord, wanted: bool) -> Iterator[None]:
    """The container's processes stand still for the block, unless they do so already."""
    from stackup.runtime.freezing import freeze, thaw

    if not wanted or record.state.phase not in ("running", "stopping"):
        yield
        return
    freeze(record.definition.cgroup)
    try:
        yield
    finally:
        thaw(record.definition.cgroup)
