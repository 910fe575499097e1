"""``down --all``: every project of this state root goes away; with --purge everything else of it, too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stackup.base.errors import StackupError, UsageError
from stackup.cli import report
from stackup.cli.session import Session
from stackup.cli.table import human_size
from stackup.cli.verbs.common import send

if TYPE_CHECKING:
    from stackup.cli.verbs.down import Request


def down_all(session: Session, request: Request) -> int:
    """Each project by itself: one that fails does not keep the others. Raises PlanRefused when not confirmed."""
    from stackup.engine import leftovers
    from stackup.engine.inventory import project_names

    if request.services:
        raise UsageError("cannot use --all together with services")
    on_disk = project_names(session.layout)
    found = {item.owner: item for item in leftovers.find(session.layout)}
    names = sorted({*on_disk, *(item.owner for item in found.values() if item.is_project)})
    if request.purge:
        told = _told(session, names)
        if request.dry_run:
            session.console.print(told)
            return 0
        if not request.yes:
            from stackup.cli.things import confirm

            confirm(
                session, "purge", f"WARNING! This will remove everything that stackup has here:\n{told}", flag="--yes"
            )
    failed = [name for name in names if not _down(session, request, name, known=name in on_disk)]
    if request.dry_run:
        return 0
    _sweep_builds(session)
    leftovers.sweep_deserted()
    if request.purge:
        leftovers.purge(session.layout)
    elif not names:
        session.console.warn("nothing to remove: there is no project")
    return 1 if failed else 0


def _down(session: Session, request: Request, name: str, *, known: bool) -> bool:
    """False when it failed. Under --purge what does not answer, or cannot be read, is cleared by name all the same."""
    from stackup.engine import leftovers

    one = Session(
        replace(session.options, project_name=name, file=(), project_directory="", env_file=(), profile=()),
        session.layout,
        session.console,
        session.environment,
        session.cwd,
    )
    if request.dry_run:
        from stackup.cli.verbs.plan import show

        show(one, "down", vars(request))
        return True
    done = not known or _properly(one, request)
    if not done and request.purge:
        session.console.warn(f"project {name} could not be taken down properly: what is there is removed by its name")
    if not known or (not done and request.purge):
        leftovers.clear(session.layout, name)
    return done


def _properly(session: Session, request: Request) -> bool:
    """Through its supervisor. What went wrong has been shown when it did not work."""
    args = {**vars(request), "volumes": request.volumes or request.purge}
    try:
        return send(session, "down", args).exit_code == 0
    except StackupError as error:
        report.show(error, session.console)
        return False


def _sweep_builds(session: Session) -> None:
    from stackup.build import sweep

    sweep(session.layout)


def _told(session: Session, projects: list[str]) -> str:
    """What --purge takes away, a line a kind."""
    from stackup.images.catalog import listed
    from stackup.images.store import ImageStore
    from stackup.network.standalone import StandaloneRecords
    from stackup.volumes.store import VolumeStore

    layout = session.layout
    images = listed(ImageStore(layout))
    size = sum({item.id: item.size for item in images}.values())
    lines = {
        "projects": projects,
        "volumes, with their data": [item.name for item in VolumeStore(layout).list()],
        "networks": list(StandaloneRecords(layout).names()),
        f"images ({human_size(size)})": [item.reference or item.id[7:19] for item in images],
    }
    told = [f"  {kind}: {', '.join(names)}" for kind, names in lines.items() if names]
    places = [str(place) for place in (layout.state, layout.run) if place.exists()]
    return "\n".join([*told, f"  directories: {', '.join(places) or 'none'}"])
