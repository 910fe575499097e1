"""``stackup image prune``: images that nobody needs go away."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.imagechanges import prune, space, tell
from stackup.cli.options import switch, values
from stackup.cli.session import Session
from stackup.cli.things import confirm


@dataclass(frozen=True)
class Request:
    """Remove images without a name; with -a, all that no container was made from."""

    all: bool = switch("-a", "--all", help="Also images with a name, unless a container was made from them.")
    filter: tuple[str, ...] = values("--filter", help="Only some: until=, label=, label!=.", metavar="KEY=VALUE")
    force: bool = switch("-f", "--force", help="Do not ask.")


def run(session: Session, request: Request) -> int:
    if not request.force:
        which = "all images without at least one container associated to them" if request.all else "all dangling images"
        confirm(session, "prune images", f"WARNING! This will remove {which}.")
    pruned = prune(session, named=request.all, texts=request.filter)
    tell(session, pruned)
    space(session, pruned.collected.freed)
    return 0
