"""``stackup network rm``: networks that belong to no stack go away; nobody may use them."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.base.errors import NotFound, PlanRefused
from stackup.cli.networks import find
from stackup.cli.options import argument, switch
from stackup.cli.session import Session
from stackup.cli.things import each, projects_of, users_text


@dataclass(frozen=True)
class Request:
    """Remove networks that belong to no stack."""

    names: tuple[str, ...] = argument("Names or ids.", metavar="NETWORK", many=True, required=True)
    force: bool = switch("-f", "--force", help="One that does not exist is no error.")


def run(session: Session, request: Request) -> int:
    from stackup.engine.inventory import Inventory
    from stackup.network.standalone import Standalones

    inventory, standalones = Inventory(session.layout), Standalones(session.layout)

    def remove(name: str) -> None:
        try:
            view = find(inventory, name)
        except NotFound:
            if request.force:
                return
            raise
        if view.project:
            raise PlanRefused(
                f"cannot remove network {view.name}: it belongs to project {view.project}",
                hint=f"stackup -p {view.project} down",
            )
        users = inventory.users_of_network(view.name)
        if users:
            raise PlanRefused(
                f"cannot remove network {view.name}: {users_text(users)} use{'s' if len(users) == 1 else ''} it",
                hint=f"stackup -p {projects_of(users)[0]} down",
            )
        standalones.remove(view.name)
        session.console.print(view.name)

    each(request.names, remove)
    return 0
