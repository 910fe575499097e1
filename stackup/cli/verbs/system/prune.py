"""``stackup system prune``: everything that no container uses goes away."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli import imagechanges
from stackup.cli.imagelists import store_of
from stackup.cli.options import switch, values
from stackup.cli.session import Session
from stackup.cli.things import confirm
from stackup.cli.verbs.network import prune as networks
from stackup.cli.verbs.volume.prune import remove_unused


@dataclass(frozen=True)
class Request:
    """Remove images without a name, the build cache, and networks that belong to no stack; never what a container,
    running or not, uses. Containers belong to their projects: `down` and `rm` remove them."""

    all: bool = switch("-a", "--all", help="Also images with a name, unless a container was made from them.")
    volumes: bool = switch("--volumes", help="Also anonymous volumes, with their data.")
    filter: tuple[str, ...] = values("--filter", help="Only some images: until=, label=, label!=.", metavar="KEY=VALUE")
    force: bool = switch("-f", "--force", help="Do not ask.")


def run(session: Session, request: Request) -> int:
    if not request.force:
        confirm(session, "prune", question(request))
    networks.run(session, networks.Request(force=True))
    freed = remove_unused(session, (), named=False) if request.volumes else 0
    freed += _forget_builds(session)
    pruned = imagechanges.prune(session, named=request.all, texts=request.filter)
    store_of(session).sweep()
    imagechanges.tell(session, pruned)
    imagechanges.space(session, freed + pruned.collected.freed)
    return 0


def _forget_builds(session: Session) -> int:
    """Bytes of the caches that commands mount; the layers of cached steps are freed with those of images."""
    from stackup.build.mounting import forget_cache_mounts
    from stackup.images.diskuse import cache_mounts
    from stackup.images.usage import forget_build_cache

    forget_build_cache(session.layout)
    before = sum(cache_mounts(session.layout).values())
    forget_cache_mounts(session.layout)
    return before - sum(cache_mounts(session.layout).values())


def question(request: Request) -> str:
    what = ["all networks that belong to no stack and that no container uses"]
    what += ["all anonymous volumes that no container uses"] if request.volumes else []
    images = "all images that no container was made from" if request.all else "all images without a name"
    what += [images, "the build cache"]
    what += [] if request.filter else ["what has arrived of images that nobody is pulling any more"]
    return "WARNING! This will remove:\n" + "".join(f"  - {item}\n" for item in what)
