"""``stackup down``: what the stack file names goes away, with -p alone all of the project; images and named volumes
stay unless asked for. With --all every project of this machine."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.base.errors import UsageError
from stackup.cli.options import switch, value
from stackup.cli.session import Session
from stackup.cli.verbs.common import change, send, services, timeout


@dataclass(frozen=True)
class Request:
    """Stop and remove containers and networks: of the stack file's services; with -p and without -f, of all."""

    services: tuple[str, ...] = services()
    volumes: bool = switch("-v", "--volumes", help="Remove named and anonymous volumes too; their data is lost.")
    timeout: int | None = timeout()
    rmi: str = value(
        "--rmi", help="Remove images of services, too: local, those that only say how to build; or all.",
        default="", choices=("local", "all"),
    )  # fmt: skip
    remove_orphans: bool = switch("--remove-orphans", help="Remove all other containers of the project, too.")
    dry_run: bool = switch("--dry-run", help="Print what would be done, and do nothing.")
    all: bool = switch("--all", help="Every project of this machine (of this state directory).")
    purge: bool = switch(
        "--purge", help="With --all: remove images, volumes, networks, build cache and all state, too; asks first."
    )
    yes: bool = switch("-y", "--yes", help="With --purge: do not ask.")


def run(session: Session, request: Request) -> int:
    if request.all and request.rmi:
        raise UsageError("cannot use --rmi together with --all", hint="--all --purge takes all images away")
    if request.all:
        from stackup.cli.clearing import down_all

        return down_all(session, request)
    if request.purge:
        raise UsageError("cannot use --purge without --all", hint="stackup down --all --purge")
    if request.dry_run:
        from stackup.cli.verbs.plan import show

        return show(session, "down", vars(request))
    if not request.rmi:
        return _take_down(session, request)
    from stackup.cli import downimages

    names = downimages.images_of(session, request.services, request.rmi)
    code = _take_down(session, request)
    if code == 0:
        downimages.remove(session, names)
    return code


def _take_down(session: Session, request: Request) -> int:
    if request.volumes and not request.services and not session.known() and _volumes_left(session):
        return send(session, "down", vars(request)).exit_code
    return change(session, "down", request, missing="nothing to remove", words="take down")


def _volumes_left(session: Session) -> bool:
    """They outlive a ``down`` without -v, and are then all that there is of the project."""
    from stackup.volumes import VolumeStore  # seldom needed

    return bool(VolumeStore(session.layout).list(session.project))
