"""``stackup volume ls``: all volumes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from stackup.cli.options import switch, value, values
from stackup.cli.session import Session
from stackup.cli.table import table
from stackup.cli.things import filters, has_labels, truth
from stackup.cli.volumes import DRIVER, brief, labels_of

FILTERS = ("name", "label", "dangling", "driver")


@dataclass(frozen=True)
class Request:
    """List volumes."""

    filter: tuple[str, ...] = values(
        "-f", "--filter", help="Only some: name=, label=, dangling=, driver=.", metavar="KEY=VALUE"
    )
    format: str = value("--format", help="Output format.", default="table", choices=("table", "json"))
    quiet: bool = switch("-q", "--quiet", help="Only names.")


def run(session: Session, request: Request) -> int:
    from stackup.volumes.store import VolumeStore

    wanted = filters(request.filter, FILTERS)
    found = [
        item
        for item in VolumeStore(session.layout).list()
        if any(text in item.name for text in wanted.get("name", ("",)))
        and DRIVER in wanted.get("driver", (DRIVER,))
        and has_labels(labels_of(item), wanted.get("label", ()))
    ]
    dangling = truth("dangling", wanted.get("dangling", ()))
    if dangling is not None:
        from stackup.engine.inventory import Inventory

        inventory = Inventory(session.layout)
        found = [item for item in found if dangling is not bool(inventory.users_of_volume(item.name))]
    console = session.console
    if request.quiet:
        console.out.write("".join(f"{item.name}\n" for item in found))
    elif request.format == "json":
        console.out.write("".join(json.dumps(brief(item)) + "\n" for item in found))
    else:
        console.out.write(table(("DRIVER", "VOLUME NAME"), ((DRIVER, item.name) for item in found)))
    return 0
