"""``stackup images``: the images of the project's containers, or all that are stored here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stackup.base.errors import NotFound, StackFileError, UsageError
from stackup.cli.containers import Row
from stackup.cli.formats import checked, is_template
from stackup.cli.freshness import outdated
from stackup.cli.imagelists import age, as_json, ids, name_and_tag, select, short_id, show, show_by, store_of, verify
from stackup.cli.options import switch, value, values
from stackup.cli.session import Session
from stackup.cli.table import human_size, table
from stackup.cli.verbs.common import services

if TYPE_CHECKING:
    from stackup.images.catalog import Listed


@dataclass(frozen=True)
class Request:
    """List the images that the project's containers were made from; with -a, or outside of a project, all images, or
    those of the given names."""

    services: tuple[str, ...] = services()
    all: bool = switch("-a", "--all", help="All images that are stored on this machine.")
    digests: bool = switch("--digests", help="With the digests of the manifests; implies -a.")
    filter: tuple[str, ...] = values(
        "-f", "--filter", help="Only some: dangling=, reference=, label=, before=, since=, until=; implies -a.",
        metavar="KEY=VALUE",
    )  # fmt: skip
    no_trunc: bool = switch("--no-trunc", help="Whole ids.")
    quiet: bool = switch("-q", "--quiet", help="Only ids.")
    format: str = value(
        "--format", help="table, json, or a template such as '{{.ID}}'.", default="table",
        metavar="FORMAT", check=checked("table", "json"),
    )  # fmt: skip
    outdated: bool = switch("--outdated", help="Ask registries for newer digests of images, pins and bases instead.")
    verify: bool = switch("--verify", help="Compare all blobs and layers with their digests instead.")


def run(session: Session, request: Request) -> int:
    stored = request.all or request.digests or request.filter or request.verify
    if stored and request.services:
        raise UsageError("cannot use --all, --digests, --filter and --verify together with services")
    if request.verify:
        return verify(session, request.format)
    rows = None if stored else _of_project(session, request)
    if request.outdated:
        return outdated(
            session, [row.image for row in rows] if rows else list(request.services) or None, request.format
        )
    if rows is None:
        _print_stored(session, request)
    else:
        _print_used(session, request, rows)
    return 0


def _of_project(session: Session, request: Request) -> list[Row] | None:
    """The project's containers; None when this is no project's directory and none was asked for."""
    from stackup.cli.containers import read

    try:
        rows = read(session)
    except StackFileError as error:
        options = session.options
        if options.file or options.project_name or error.where or error.details:
            raise
        return None
    for name in request.services:
        if not any(row.service == name for row in rows):
            raise NotFound(
                f"cannot list the images of service {name}: it has no containers",
                hint=f"`stackup image ls {name}` lists the stored images of that name",
            )
    return [row for row in rows if not request.services or row.service in request.services]


def _print_used(session: Session, request: Request, rows: list[Row]) -> None:
    if not rows and request.format == "table" and not request.quiet:
        session.console.say(f"project {session.project} has no containers; `stackup images -a` lists all images")
    stored = {item.id: item for item in select(store_of(session), ())}
    console = session.console
    if request.quiet:
        for image_id in dict.fromkeys(row.image_id for row in rows):
            console.print(image_id if request.no_trunc else short_id(image_id))
        return
    found = [_used(row, stored.get(row.image_id)) for row in rows]
    if is_template(request.format):
        from stackup.cli.templates import listed

        console.out.write(listed(request.format, map(_words, found), {"ID": "IMAGE ID", "ContainerName": "CONTAINER"}))
        return
    if request.format == "json":
        console.print(json.dumps(found, indent=2))
        return
    header = ("CONTAINER", "REPOSITORY", "TAG", "IMAGE ID", "SIZE", "CREATED")
    keys = ("ContainerName", "Repository", "Tag", "ID")
    console.out.write(
        table(
            header,
            (
                (*(item[key] for key in keys), human_size(item["Size"]) if item["Size"] else "-", age(item["Created"]))
                for item in found
            ),
        )
    )


def _used(row: Row, image: Listed | None) -> dict[str, Any]:
    repository, tag = name_and_tag(_familiar(row.image))
    return {
        "ID": short_id(row.image_id),
        "ContainerName": row.name,
        "Repository": repository,
        "Tag": tag,
        "Size": image.size if image else 0,
        "Created": image.created if image else "",
    }


def _familiar(image: str) -> str:
    """As the stored ones are listed: a stack file may have the long form."""
    from stackup.oci.reference import parse

    try:
        return image if "@" not in image and "/" not in image else parse(image).familiar
    except ValueError:
        return image


def _words(item: dict[str, Any]) -> dict[str, Any]:
    return {
        **item,
        "Size": human_size(item["Size"]),
        "CreatedSince": age(item["Created"]),
        "CreatedAt": item["Created"],
    }


def _print_stored(session: Session, request: Request) -> None:
    found = select(store_of(session), request.filter, *request.services)
    if request.quiet:
        session.console.out.write("".join(f"{image_id}\n" for image_id in ids(found, whole=request.no_trunc)))
    elif request.format == "json":
        session.console.print(json.dumps([as_json(item, whole=request.no_trunc) for item in found], indent=2))
    elif is_template(request.format):
        show_by(session, request.format, found, whole=request.no_trunc)
    else:
        show(session, found, digests=request.digests, whole=request.no_trunc)
