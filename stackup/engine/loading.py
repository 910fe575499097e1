"""Reads stack files for requests, in the user's directory and environment, and remembers the last answer.

A file that was read is read again only when it, or a variable that it used, has changed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from stackup.base.errors import Position, StackupError
from stackup.base.values import changed, frozen
from stackup.model.stack import Stack
from stackup.stackfile import Input, Loaded, LoadRequest, load
from stackup.stackfile.nodes import Node, find
from stackup.stackfile.problems import caret_width

INLINE = "dockerfile_inline"  # what the builder calls a Dockerfile that stands in the stack file
Error = TypeVar("Error", bound=StackupError)


@frozen
class LoadedStack:
    """``environment`` is the user's over the ``.env`` files: for build arguments and secrets that come from it."""

    stack: Stack
    warnings: tuple[str, ...]
    environment: Mapping[str, str]
    source: Loaded

    def point(self, error: Error, *paths: str) -> Error:
        """Gives ``error`` the place of the first value of ``paths`` (``services.web.image``) that somebody wrote.

        Where nobody wrote any of them, it is the place of what is around the first: of the service, in the end.
        """
        above = [paths[0].rsplit(".", depth)[0] for depth in range(1, paths[0].count("."))] if paths else []
        for path in (*paths, *above):
            node = find(self.source.tree, path)
            if node is not None and (node.line or node.key_line):
                error.where, error.snippet = _place(node)
                break
        return error

    def point_inline(self, error: StackupError, service: str) -> None:
        """An error about a line of ``dockerfile_inline``: the same line in the stack file, where it is a block (|)."""
        node = find(self.source.tree, f"services.{service}.build.dockerfile_inline")
        for item in (error, *error.details):
            if node is None or item.where is None or item.where.file != INLINE:
                continue
            header = node.source.line(node.line)[node.column - 1 :]
            row = node.line + item.where.line
            text = node.source.line(row)
            if not header.startswith("|") or not item.where.line or not text.strip():
                item.where, _ = _place(node)
                continue
            inline = str(node.value).split("\n")[item.where.line - 1]
            indent = len(text) - len(inline) if text.endswith(inline) else len(text) - len(text.lstrip())
            column = item.where.column if text.endswith(inline) else 1  # else a variable stands in the line
            item.where = Position(node.source.name, row, indent + max(1, column))
            first, _, caret = item.snippet.partition("\n")
            if first == inline.rstrip() and not caret.strip(" ^"):
                item.snippet = f"{text}\n{' ' * indent}{caret}" if caret and text.endswith(inline) else text


def _place(node: Node) -> tuple[Position, str]:
    """Of a text where it stands, of anything larger its key; and the line with a caret below it."""
    at_key = isinstance(node.value, (dict, list)) and bool(node.key_line)
    where = node.key_position if at_key else node.position
    return where, node.source.snippet(where.line, where.column, caret_width(node, at_key))


class Loader:
    def __init__(self) -> None:
        self._last: tuple[tuple[Any, ...], Loaded, Mapping[str, str]] | None = None

    async def load(self, files: Mapping[str, Any], cwd: str, env: Mapping[str, str]) -> LoadedStack:
        """Raises StackFileError. Parsing happens in a thread: the supervisor's loop goes on meanwhile."""
        request = _request(files, cwd, env)
        loaded = self._remembered(request)
        if loaded is None:
            loaded = await asyncio.to_thread(load, request)
            self._last = (_key(request), loaded, request.environment)
        assert self._last is not None
        # What is remembered came with somebody else's environment; what it has from .env files stays.
        before = self._last[2]
        own = {name: value for name, value in loaded.environment.items() if before.get(name) != value}
        warnings = tuple(str(item) for item in loaded.warnings)
        return LoadedStack(loaded.stack, warnings, {**own, **request.environment}, loaded)

    async def look(self, files: Mapping[str, Any], cwd: str, env: Mapping[str, str]) -> Stack:
        """What the stack file has, for somebody who starts nothing of it. Raises StackFileError."""
        request = _request(files, cwd, env)
        loaded = self._remembered(request)
        if loaded is None:
            loaded = await asyncio.to_thread(load, changed(request, run=False))
        return loaded.stack

    def _remembered(self, request: LoadRequest) -> Loaded | None:
        if self._last is None or self._last[0] != _key(request):
            return None
        loaded = self._last[1]
        fresh = all(_unchanged(item) for item in loaded.inputs) and not any(map(os.path.lexists, loaded.absent))
        same = all(request.environment.get(name) == value for name, value in loaded.variables.items())
        return loaded if fresh and same else None


def _request(files: Mapping[str, Any], cwd: str, env: Mapping[str, str]) -> LoadRequest:
    return LoadRequest(
        cwd=Path(cwd),
        files=tuple(files.get("files") or ()),
        project_directory=files.get("project_directory") or None,
        project_name=files.get("project_name") or None,
        env_files=tuple(files.get("env_files") or ()),
        profiles=tuple(files.get("profiles") or ()),
        environment=dict(env),
        stdin=files.get("stdin"),
    )


def _key(request: LoadRequest) -> tuple[Any, ...]:
    compose = tuple(sorted(item for item in request.environment.items() if item[0].startswith("COMPOSE_")))
    return (
        request.cwd,
        request.files,
        request.project_directory,
        request.project_name,
        request.env_files,
        request.profiles,
        request.stdin,
        compose,
    )


def _unchanged(item: Input) -> bool:
    try:
        found = os.stat(item.path)
    except OSError:
        return False
    return (found.st_mtime_ns, found.st_size, found.st_ino) == (item.mtime_ns, item.size, item.inode)
