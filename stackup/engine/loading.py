"""Reads stack files for requests, in the user's directory and environment, and remembers the last answer.

A file that was read is read again only when it, or a variable that it used, has changed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from stackup.base.errors import StackupError
from stackup.model.stack import Stack
from stackup.stackfile import Input, Loaded, LoadRequest, load

Error = TypeVar("Error", bound=StackupError)


@dataclass(frozen=True, slots=True)
class LoadedStack:
    """``environment`` is the user's over the ``.env`` files: for build arguments and secrets that come from it."""

    stack: Stack
    warnings: tuple[str, ...]
    environment: Mapping[str, str]
    source: Loaded

    def point(self, error: Error, path: str) -> Error:
        """Gives ``error`` the place of the value at ``path`` (``services.web.image``), where somebody wrote it."""
        error.where, error.snippet = self.source.place(path)
        return error


class Loader:
    def __init__(self) -> None:
        self._last: tuple[tuple[Any, ...], Loaded] | None = None

    async def load(self, files: Mapping[str, Any], cwd: str, env: Mapping[str, str]) -> LoadedStack:
        """Raises StackFileError. Parsing happens in a thread: the supervisor's loop goes on meanwhile."""
        request = LoadRequest(
            cwd=Path(cwd),
            files=tuple(files.get("files") or ()),
            project_directory=files.get("project_directory") or None,
            project_name=files.get("project_name") or None,
            env_files=tuple(files.get("env_files") or ()),
            profiles=tuple(files.get("profiles") or ()),
            environment=dict(env),
            stdin=files.get("stdin"),
        )
        loaded = self._remembered(request)
        if loaded is None:
            loaded = await asyncio.to_thread(load, request)
            self._last = (_key(request), loaded)
        return LoadedStack(loaded.stack, tuple(str(item) for item in loaded.warnings), loaded.environment, loaded)

    def _remembered(self, request: LoadRequest) -> Loaded | None:
        if self._last is None or self._last[0] != _key(request):
            return None
        loaded = self._last[1]
        fresh = all(_unchanged(item) for item in loaded.inputs) and not any(map(os.path.lexists, loaded.absent))
        same = all(request.environment.get(name) == value for name, value in loaded.variables.items())
        return loaded if fresh and same else None


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
