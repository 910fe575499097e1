"""``images --outdated``: what registries have newer than what is here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stackup.cli.imagelists import short_id, store_of
from stackup.cli.table import table

if TYPE_CHECKING:
    from stackup.cli.session import Session
    from stackup.images.outdated import Freshness


def outdated(session: Session, names: Sequence[str] | None, form: str) -> int:
    """``names``: those images, None for all. Exit code 1 when no registry could be asked."""
    from stackup.images.outdated import UNKNOWN, check, subjects
    from stackup.images.registry.access import Registries
    from stackup.images.registry.caller import Caller

    registries = Registries(Caller(session.environment))
    try:
        found = check(registries, subjects(store_of(session), names))
    finally:
        registries.close()
    if form == "json":
        session.console.print(json.dumps([_json(item) for item in found], indent=2))
    elif not found:
        session.console.say("no image here came from a registry, is pinned, or notes its base")
    else:
        rows = [(item.subject.image, _about(item), _status(item)) for item in found]
        session.console.out.write(table(("IMAGE", "ASKED FOR", "STATUS"), rows))
    return 1 if found and all(item.state == UNKNOWN for item in found) else 0


def _about(item: Freshness) -> str:
    from stackup.oci.reference import parse

    name = parse(item.subject.reference).familiar
    return {"image": name, "base": f"its base {name}", "pin": f"{name}, pinned"}[item.subject.about]


def _status(item: Freshness) -> str:
    match item.state:
        case "current":
            return "up to date"
        case "unknown":
            return f"unknown: {item.reason}"
    how = {"image": "stackup pull", "base": "stackup build --pull", "pin": "change the digest in the stack file"}
    return f"newer: {short_id(item.newest)} ({how[item.subject.about]})"


def _json(item: Freshness) -> dict[str, str]:
    return {
        "Image": item.subject.image,
        "About": item.subject.about,
        "Reference": item.subject.reference,
        "Digest": item.subject.digest,
        "State": item.state,
        "Newest": item.newest,
        "Reason": item.reason,
    }
