"""``stackup volume rm``: volumes and their data go away; nobody may use them."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.base.errors import NotFound, PlanRefused
from stackup.cli.options import argument, switch
from stackup.cli.session import Session
from stackup.cli.things import each, projects_of, users_text


@dataclass(frozen=True)
class Request:
    """Remove volumes; their data is lost."""

    names: tuple[str, ...] = argument("Names.", metavar="VOLUME", many=True, required=True)
    force: bool = switch("-f", "--force", help="One that does not exist is no error.")


def run(session: Session, request: Request) -> int:
    from stackup.engine.inventory import Inventory
    from stackup.volumes.store import VolumeStore

    inventory, store = Inventory(session.layout), VolumeStore(session.layout)

    def remove(name: str) -> None:
        users = inventory.users_of_volume(name)
        if users:
            raise PlanRefused(
                f"cannot remove volume {name}: {users_text(users)} use{'s' if len(users) == 1 else ''} it",
                hint=f"stackup -p {projects_of(users)[0]} down",
            )
        if store.remove(name):
            session.console.print(name)
        elif not request.force:
            raise NotFound(f"cannot remove volume {name}: there is no such volume", hint="stackup volume ls")

    each(request.names, remove)
    return 0
