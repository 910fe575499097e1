"""``stackup network prune``: networks that belong to no stack and that no container uses go away."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.options import switch, values
from stackup.cli.session import Session
from stackup.cli.things import confirm, each, filters, has_labels


@dataclass(frozen=True)
class Request:
    """Remove all networks that belong to no stack and that no container uses."""

    filter: tuple[str, ...] = values("--filter", help="Only some: label=.", metavar="KEY=VALUE")
    force: bool = switch("-f", "--force", help="Do not ask.")


def run(session: Session, request: Request) -> int:
    from stackup.engine.inventory import Inventory
    from stackup.network.standalone import Standalones

    wanted = filters(request.filter, ("label",)).get("label", [])
    if not request.force:
        confirm(
            session,
            "prune networks",
            "WARNING! This will remove all custom networks not used by at least one container.",
        )
    inventory, standalones = Inventory(session.layout), Standalones(session.layout)
    found = [
        item.name
        for item in inventory.networks()
        if not item.project and has_labels(item.labels, wanted) and not inventory.users_of_network(item.name)
    ]
    each(found, standalones.remove)
    if found:
        session.console.print("\n".join(["Deleted Networks:", *found]))
    return 0
