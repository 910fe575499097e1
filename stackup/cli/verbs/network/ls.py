"""``stackup network ls``: all networks of this machine's projects, and those that belong to none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackup.cli.networks import DRIVER, SCOPE, brief
from stackup.cli.options import switch, value, values
from stackup.cli.session import Session
from stackup.cli.table import table
from stackup.cli.things import filters, has_labels, truth

if TYPE_CHECKING:
    from stackup.engine.inventory import Inventory, NetworkView

FILTERS = ("name", "id", "label", "dangling", "driver", "scope", "type")


@dataclass(frozen=True)
class Request:
    """List networks."""

    filter: tuple[str, ...] = values(
        "-f", "--filter", help="Only some: name=, id=, label=, dangling=, driver=, scope=, type=.", metavar="KEY=VALUE"
    )
    format: str = value("--format", help="Output format.", default="table", choices=("table", "json"))
    no_trunc: bool = switch("--no-trunc", help="Whole ids.")
    quiet: bool = switch("-q", "--quiet", help="Only ids.")


def run(session: Session, request: Request) -> int:
    from stackup.engine.inventory import Inventory

    wanted = filters(request.filter, FILTERS)
    inventory = Inventory(session.layout)
    rows = [brief(item, whole=request.no_trunc) for item in inventory.networks() if _is_wanted(item, inventory, wanted)]
    console = session.console
    if request.quiet:
        console.out.write("".join(f"{row['ID']}\n" for row in rows))
    elif request.format == "json":
        console.out.write("".join(json.dumps(row) + "\n" for row in rows))
    else:
        keys = ("ID", "Name", "Driver", "Scope")
        console.out.write(
            table(("NETWORK ID", "NAME", "DRIVER", "SCOPE"), ([row[key] for key in keys] for row in rows))
        )
    return 0


def _is_wanted(view: NetworkView, inventory: Inventory, wanted: dict[str, list[str]]) -> bool:
    dangling = truth("dangling", wanted.get("dangling", ()))
    return (
        any(text in view.name for text in wanted.get("name", ("",)))
        and any(view.state.get("id", "").startswith(text) for text in wanted.get("id", ("",)))
        and DRIVER in wanted.get("driver", (DRIVER,))
        and SCOPE in wanted.get("scope", (SCOPE,))
        and "custom" in wanted.get("type", ("custom",))
        and has_labels(view.labels, wanted.get("label", ()))
        and (dangling is None or dangling is not bool(inventory.users_of_network(view.name)))
    )
