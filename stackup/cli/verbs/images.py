"""``stackup images``: the images of the project's containers, or all that are stored here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stackup.base.errors import StackFileError, UsageError
from stackup.cli.containers import Row
from stackup.cli.options import switch, value
from stackup.cli.session import Session
from stackup.cli.table import ago, human_size, table
from stackup.cli.verbs.common import services

if TYPE_CHECKING:
    from stackup.images.store import ImageStore, ImageSummary

ID_DIGITS = 12


@dataclass(frozen=True)
class Request:
    """List the images that the project's containers were made from; with -a, or outside of a project, all images."""

    services: tuple[str, ...] = services()
    all: bool = switch("-a", "--all", help="All images that are stored on this machine.")
    quiet: bool = switch("-q", "--quiet", help="Only ids.")
    format: str = value("--format", help="Output format.", default="table", choices=("table", "json"))


def run(session: Session, request: Request) -> int:
    if request.all and request.services:
        raise UsageError("cannot use --all together with services")
    rows = None if request.all else _of_project(session, request)
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
        if request.services or options.file or options.project_name or error.where:
            raise
        return None
    return [row for row in rows if not request.services or row.service in request.services]


def _print_used(session: Session, request: Request, rows: list[Row]) -> None:
    if not rows and request.format == "table" and not request.quiet:
        session.console.say(f"project {session.project} has no containers; `stackup images -a` lists all images")
    stored = {item.id: item for item in _store(session).images()}
    console = session.console
    if request.quiet:
        for image_id in dict.fromkeys(row.image_id for row in rows):
            console.print(_digits(image_id))
        return
    found = [_used(row, stored.get(row.image_id)) for row in rows]
    if request.format == "json":
        console.print(json.dumps(found, indent=2))
        return
    header = ("CONTAINER", "REPOSITORY", "TAG", "IMAGE ID", "SIZE", "CREATED")
    keys = ("ContainerName", "Repository", "Tag", "ID")
    console.out.write(
        table(
            header,
            (
                (*(item[key] for key in keys), human_size(item["Size"]) if item["Size"] else "-", _age(item["Created"]))
                for item in found
            ),
        )
    )


def _used(row: Row, image: ImageSummary | None) -> dict[str, Any]:
    repository, tag = name_and_tag(row.image)
    return {
        "ID": _digits(row.image_id),
        "ContainerName": row.name,
        "Repository": repository,
        "Tag": tag,
        "Size": image.size if image else 0,
        "Created": image.created if image else "",
    }


def _print_stored(session: Session, request: Request) -> None:
    console = session.console
    found = _store(session).images()
    if request.quiet:
        for image_id in dict.fromkeys(item.id for item in found):
            console.print(_digits(image_id))
        return
    listed = [(*name_and_tag(item.reference), item) for item in found]
    if request.format == "json":
        data = [
            {"ID": _digits(item.id), "Repository": repository, "Tag": tag, "Size": item.size, "Created": item.created}
            for repository, tag, item in listed
        ]
        console.print(json.dumps(data, indent=2))
        return
    rows = [
        (repository, tag, _digits(item.id), human_size(item.size), _age(item.created))
        for repository, tag, item in listed
    ]
    console.out.write(table(("REPOSITORY", "TAG", "IMAGE ID", "SIZE", "CREATED"), rows))


def name_and_tag(reference: str) -> tuple[str, str]:
    """``redis:7`` -> redis, 7. The colon of a registry's port is not a tag's."""
    if not reference:
        return "<none>", "<none>"
    name = reference.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, "latest")


def _store(session: Session) -> ImageStore:
    from stackup.images.store import ImageStore

    return ImageStore(session.layout)


def _digits(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:ID_DIGITS]


def _age(created: str) -> str:
    """From RFC 3339, which may have nanoseconds."""
    from stackup.base.clock import now_ns
    from stackup.cli.moments import moment_ns

    try:
        return f"{ago(max(0, now_ns() - moment_ns(created)) / 1e9)} ago"
    except ValueError:
        return "-"
