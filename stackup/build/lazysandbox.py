"""The sandbox of one build, for all its stages and platforms: made when the first command is to be run, since most
builds find everything cached, and its imports cost more than such a build takes.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from stackup.base.paths import Layout
from stackup.build.command import Command, OnLines
from stackup.linux.overlay import Overlay

if TYPE_CHECKING:
    from stackup.build.sandbox import Sandbox


class LazySandbox:
    """Arguments as ``Sandbox`` has them. Used from several threads."""

    def __init__(self, layout: Layout, room: Path, owner: str) -> None:
        self._layout = layout
        self._room = room
        self._owner = owner
        self._lock = threading.Lock()
        self._sandbox: Sandbox | None = None
        self._last = threading.local()

    def run(self, overlays: tuple[Overlay, ...], command: Command, on_lines: OnLines) -> int:
        """The command's exit code."""
        with self._lock:
            if self._sandbox is None:
                from stackup.build.sandbox import Sandbox

                self._sandbox = Sandbox(self._layout, self._room, self._owner)
        self._last.command = command
        code = self._sandbox.run(overlays, command, on_lines)
        if not code:
            self._last.command = None  # what fails later was not this one
        return code

    @property
    def failed(self) -> Command | None:
        """The calling thread's command under way, or the one that failed."""
        return getattr(self._last, "command", None)

    def abort(self) -> None:
        """Ends what runs."""
        with self._lock:
            if self._sandbox is not None:
                self._sandbox.abort()

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
