"""Which warnings concern some services only, by the lines that they stand in: for ``config SERVICE``."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterable

from stackup.stackfile.check import children
from stackup.stackfile.nodes import Node
from stackup.stackfile.problems import Notice

Bounds = list[tuple[int, int, str]]  # line and column where something begins, and the service that it is, if one


def concerning(notices: Iterable[Notice], tree: Node, asked: Container[str]) -> list[Notice]:
    """Leaves out what is said about lines of services that are not ``asked`` for."""
    files: dict[str, Bounds] = {}
    for section, node in tree.value.items():
        _begin(files, node, "")
        for name, item in children(node).items():
            _begin(files, item, name if section == "services" else "")
    for bounds in files.values():
        bounds.sort()
    return [notice for notice in notices if (name := _service(notice, files)) == "" or name in asked]


def _begin(files: dict[str, Bounds], node: Node, service: str) -> None:
    if node.key_line and node.written:
        files.setdefault(node.source.name, []).append((node.key_line, node.key_column, service))


def _service(notice: Notice, files: dict[str, Bounds]) -> str:
    """The service whose lines hold the place of the warning; empty for none."""
    if notice.where is None:
        return ""
    bounds = files.get(notice.where.file, [])
    index = bisect_right(bounds, (notice.where.line, notice.where.column, "\U0010ffff"))
    return bounds[index - 1][2] if index else ""
