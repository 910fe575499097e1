"""``stackup image history``: the steps that an image was made in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackup.cli.formats import checked, is_template
from stackup.cli.imagelists import age, short_id, store_of
from stackup.cli.options import argument, switch, value
from stackup.cli.session import Session
from stackup.cli.table import human_size, shorten, table

if TYPE_CHECKING:
    from stackup.images.describing import Step

WIDTH = 45
MISSING = "<missing>"


@dataclass(frozen=True)
class Request:
    """Show the steps that an image was made in, the last one first."""

    image: str = argument("Name or id.", metavar="IMAGE", required=True)
    format: str = value(
        "--format", help="table, json, or a template such as '{{.ID}}'.", default="table",
        metavar="FORMAT", check=checked("table", "json"),
    )  # fmt: skip
    no_trunc: bool = switch("--no-trunc", help="Whole commands and ids.")
    quiet: bool = switch("-q", "--quiet", help="Only ids.")


def run(session: Session, request: Request) -> int:
    from stackup.images.describing import history

    steps, whole, out = history(store_of(session), request.image), request.no_trunc, session.console.out
    if request.quiet:
        out.write("".join(f"{_id(step, whole)}\n" for step in steps))
    elif request.format == "json":
        out.write("".join(json.dumps(_row(step, whole)) + "\n" for step in steps))
    elif is_template(request.format):
        from stackup.cli.templates import listed

        headers = {"ID": "IMAGE", "CreatedSince": "CREATED"}
        out.write(listed(request.format, (_row(step, whole) for step in steps), headers))
    else:
        rows = (
            (_id(step, whole), age(step.created), _text(step, whole), human_size(step.size), step.comment)
            for step in steps
        )
        out.write(table(("IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"), rows))
    return 0


def _id(step: Step, whole: bool) -> str:
    return (step.id if whole else short_id(step.id)) or MISSING


def _text(step: Step, whole: bool) -> str:
    text = " ".join(step.created_by.split())
    return text if whole else shorten(text, WIDTH)


def _row(step: Step, whole: bool) -> dict[str, str]:
    return {
        "Comment": step.comment,
        "CreatedAt": step.created,
        "CreatedBy": _text(step, whole),
        "CreatedSince": age(step.created),
        "ID": _id(step, whole),
        "Size": human_size(step.size),
    }
