"""``stackup version``."""

from __future__ import annotations

import json
from dataclasses import dataclass

from stackup.base.version import VERSION
from stackup.cli.options import switch, value
from stackup.cli.session import Session

NEEDS_ROOT = False


@dataclass(frozen=True)
class Request:
    """Print the version."""

    format: str = value("-f", "--format", help="Output format.", default="pretty", choices=("pretty", "json"))
    short: bool = switch("--short", help="Only the number.")


def run(session: Session, request: Request) -> int:
    if request.short:
        session.console.print(VERSION)
    elif request.format == "json":
        session.console.print(json.dumps({"version": VERSION}))
    else:
        session.console.print(f"stackup version {VERSION}")
    return 0
