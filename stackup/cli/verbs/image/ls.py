"""``stackup image ls``: all stored images."""

from __future__ import annotations

import json
from dataclasses import dataclass

from stackup.cli.formats import checked, is_template
from stackup.cli.imagelists import as_docker, ids, select, show, show_by, store_of
from stackup.cli.options import argument, switch, value, values
from stackup.cli.session import Session


@dataclass(frozen=True)
class Request:
    """List all images that are stored here, or those of one name."""

    name: str = argument("Name, with or without a tag; * and ? stand for anything.", metavar="NAME[:TAG]")
    all: bool = switch("-a", "--all", help="All, which is the default.", hidden=True)
    digests: bool = switch("--digests", help="With the digests of the manifests.")
    filter: tuple[str, ...] = values(
        "-f", "--filter", help="Only some: dangling=, reference=, label=, before=, since=, until=.", metavar="KEY=VALUE"
    )
    format: str = value(
        "--format", help="table, json, or a template such as '{{.ID}}'.", default="table",
        metavar="FORMAT", check=checked("table", "json"),
    )  # fmt: skip
    no_trunc: bool = switch("--no-trunc", help="Whole ids.")
    quiet: bool = switch("-q", "--quiet", help="Only ids.")


def run(session: Session, request: Request) -> int:
    found = select(store_of(session), request.filter, *filter(None, [request.name]))
    out, whole = session.console.out, request.no_trunc
    if request.quiet:
        out.write("".join(f"{image_id}\n" for image_id in ids(found, whole=whole)))
    elif request.format == "json":
        out.write("".join(json.dumps(as_docker(item, whole=whole)) + "\n" for item in found))
    elif is_template(request.format):
        show_by(session, request.format, found, whole=whole)
    else:
        show(session, found, digests=request.digests, whole=whole)
    return 0
