"""What is asked of the loader, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from stackup.base.errors import Position
from stackup.base.values import frozen
from stackup.model.stack import Stack
from stackup.stackfile.links import Link
from stackup.stackfile.nodes import Node, find
from stackup.stackfile.problems import Notice, caret_width


@frozen
class LoadRequest:
    """One user's wish. Nothing is read from this process's own environment or working directory.

    ``files`` are the ``-f`` options (``-`` is ``stdin``), ``environment`` is the caller's. The switches below
    ``stdin`` are those of ``config --no-...``: with ``interpolate`` off the answer has no ``stack``, only ``tree``.
    ``run`` off means that the stack is only looked at: attributes that stackup does not carry out are no matter then,
    or with ``outlook`` a warning each, as is what ``up`` refuses; with ``named``, of those services alone.
    """

    cwd: Path
    files: tuple[str, ...] = ()
    project_directory: str | None = None
    project_name: str | None = None
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None
    interpolate: bool = True
    resolve_paths: bool = True
    resolve_environment: bool = True
    check_consistency: bool = True
    normalize: bool = True
    all_resources: bool = False
    run: bool = True
    outlook: bool = False
    named: tuple[str, ...] = ()


@frozen
class Input:
    """A file that was read, and how to tell that it has not changed since."""

    path: str
    mtime_ns: int
    size: int
    inode: int


@frozen
class Loaded:
    """``variables``: every variable that was looked up, with its value in the request's environment or None.

    ``absent`` are the paths whose appearance would change the answer; together with ``inputs`` and ``variables`` they
    say when loading again would give the same. ``environment`` is what the project's variables resolve to: the
    caller's environment over the ``.env`` files. ``links`` are how files and services led to one another, ``removed``
    the values that ``!reset`` took away, by path (as ``shadow`` of the node that stands for the reset). ``whole`` is
    the ``tree`` with the resources that no service uses.
    """

    stack: Stack
    warnings: tuple[Notice, ...]
    inputs: tuple[Input, ...]
    absent: tuple[str, ...]
    variables: Mapping[str, str | None]
    tree: Node
    directory: Path
    environment: Mapping[str, str]
    profiles: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    removed: Mapping[str, Node] = field(default_factory=dict)
    whole: Node | None = None

    def position(self, path: str) -> Position | None:
        """Where the value at a dotted path (``services.web.ports.0``) was written; None for what nobody wrote."""
        node = find(self.tree, path)
        return node.position if node is not None and node.line else None

    def place(self, path: str) -> tuple[Position | None, str]:
        """``position``, and the line with a caret below it, for an error about that value."""
        node = find(self.tree, path)
        if node is None or not node.line:
            return None, ""
        return node.position, node.source.snippet(node.line, node.column, caret_width(node))

    def key_position(self, path: str) -> Position | None:
        """Where the key of that value stands: the place to point at for a whole service."""
        node = find(self.tree, path)
        return node.key_position if node is not None and (node.line or node.key_line) else None
