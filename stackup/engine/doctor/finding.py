"""One thing that the doctor has to say."""

from __future__ import annotations

from typing import Any

from stackup.base.values import as_mapping, frozen

PROBLEM, WARNING, NOTE = "problem", "warning", "note"


@frozen
class Finding:
    """``level``: a problem keeps something from working, a warning may, a note is good to know. ``what`` is seen,
    ``why`` it matters, ``do`` what helps. ``id`` is for scripts and stays the same; ``scope`` is host or a project."""

    id: str
    level: str
    what: str
    why: str
    do: str = ""
    scope: str = "host"

    def to_dict(self) -> dict[str, Any]:
        return as_mapping(self)
