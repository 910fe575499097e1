"""``stackup image verify``: whether everything in the store is what its digest says."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.imagelists import verify
from stackup.cli.options import value
from stackup.cli.session import Session


@dataclass(frozen=True)
class Request:
    """Compare all blobs with their digests, and all unpacked layers with their blobs; exit code 1 for damage."""

    format: str = value("--format", help="Output format.", default="text", choices=("text", "json"))


def run(session: Session, request: Request) -> int:
    return verify(session, request.format)
