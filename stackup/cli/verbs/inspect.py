"""``stackup inspect``: everything about images and containers, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackup.base.errors import NotFound
from stackup.cli.formats import checked, is_template
from stackup.cli.imagelists import store_of
from stackup.cli.options import argument, value
from stackup.cli.session import Session
from stackup.cli.things import each, print_list

KINDS = ("image", "container", "volume", "network")


@dataclass(frozen=True)
class Request:
    """Show images, containers, volumes and networks in detail, as a JSON list with docker's keys."""

    names: tuple[str, ...] = argument(
        "Names or ids of images, containers, volumes or networks, or services.",
        metavar="NAME",
        many=True,
        required=True,
    )
    format: str = value(
        "-f", "--format", help="json, or a template such as '{{.Id}}' or '{{json .Config}}'.", default="",
        metavar="FORMAT", check=checked("json"),
    )  # fmt: skip
    type: str = value("--type", help="Only that; else the first of these that has the name.", default="", choices=KINDS)


def run(session: Session, request: Request) -> int:
    found = list[dict[str, Any]]()
    try:
        each(request.names, lambda name: found.append(_one(session, name, request.type)))
    finally:
        if is_template(request.format):
            _print_by(session, request.format, found)
        else:
            print_list(session, found)
    return 0


def _print_by(session: Session, template: str, found: list[dict[str, Any]]) -> None:
    from stackup.cli.templates import render
    from stackup.images.describing import for_templates

    items = (for_templates(item) if "RepoTags" in item else item for item in found)
    session.console.out.write("".join(f"{render(template, item)}\n" for item in items))


def _one(session: Session, name: str, kind: str) -> dict[str, Any]:
    from stackup.images.describing import inspect

    store = store_of(session)
    if kind == "image" or (not kind and store.find(name) is not None):
        return inspect(store, name)
    for wanted, look in (("container", _container), ("volume", _volume), ("network", _network)):
        try:
            if kind in ("", wanted):
                return look(session, name)
        except NotFound:
            if kind:
                raise
    return inspect(store, name)  # by the beginning of its id; or it says that there is no such image


def _container(session: Session, name: str) -> dict[str, Any]:
    from stackup.cli.containerfinding import container  # reads the records of all projects
    from stackup.cli.describing import describe

    return describe(session, container(session, "inspect", name))


def _volume(session: Session, name: str) -> dict[str, Any]:
    from stackup.cli.volumes import find, whole

    return whole(find(session, name))


def _network(session: Session, name: str) -> dict[str, Any]:
    from stackup.cli.networks import find, whole
    from stackup.engine.inventory import Inventory

    inventory = Inventory(session.layout)
    view = find(inventory, name)
    return whole(view, inventory.users_of_network(view.name))
