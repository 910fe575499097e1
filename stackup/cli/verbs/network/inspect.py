"""``stackup network inspect``: everything about networks, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackup.cli.networks import find, whole
from stackup.cli.options import argument
from stackup.cli.session import Session
from stackup.cli.things import each, print_list


@dataclass(frozen=True)
class Request:
    """Show networks in detail, as a JSON list."""

    names: tuple[str, ...] = argument("Names or ids.", metavar="NETWORK", many=True, required=True)


def run(session: Session, request: Request) -> int:
    from stackup.engine.inventory import Inventory

    inventory, found = Inventory(session.layout), list[dict[str, Any]]()

    def add(name: str) -> None:
        view = find(inventory, name)
        found.append(whole(view, inventory.users_of_network(view.name)))

    try:
        each(request.names, add)
    finally:
        print_list(session, found)
    return 0
