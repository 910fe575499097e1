"""What a verb has at hand: the global options, the console, the project's name and its supervisor."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from stackup.base.errors import UsageError
from stackup.base.paths import Layout
from stackup.cli import resolve
from stackup.cli.globals import Globals
from stackup.cli.terminal import Console

if TYPE_CHECKING:
    from stackup.cli.client import Client, Connector
    from stackup.stackfile import Loaded


class Session:
    """One command of one user."""

    def __init__(
        self,
        options: Globals,
        layout: Layout,
        console: Console,
        environment: Mapping[str, str],
        cwd: str,
        connector: Connector | None = None,
    ) -> None:
        self.options = options
        self.layout = layout
        self.console = console
        self.environment = environment
        self.cwd = cwd
        self.looks_only = False  # nothing at all may be written, not even what only saves time
        self._connector = connector

    @cached_property
    def project(self) -> str:
        """The project's name; reads the stack file only when nothing quicker tells."""
        return resolve.project_name(self)

    @cached_property
    def stdin(self) -> str | None:
        """The stack file that was piped in (``-f -``), else None."""
        if "-" not in self.options.file:
            return None
        import sys

        return sys.stdin.read()

    def files(self) -> dict[str, Any]:
        """What the supervisor needs to read the same stack file."""
        return {**self.options.files(), "stdin": self.stdin}

    def load(self, **switches: bool) -> Loaded:
        """The stack file, read properly; its warnings are printed, and the project's name is remembered."""
        return resolve.load(self, **switches)

    @property
    def at_once(self) -> int | None:
        """How many actions may be under way at a time, where the user says so: --parallel, COMPOSE_PARALLEL_LIMIT."""
        text = self.environment.get("COMPOSE_PARALLEL_LIMIT", "")
        if self.options.parallel is not None or not text:
            return self.options.parallel
        try:
            return int(text)
        except ValueError:
            raise UsageError(f'COMPOSE_PARALLEL_LIMIT must be an integer (found: "{text}")') from None

    @property
    def connector(self) -> Connector:
        if self._connector is None:
            from stackup.control import client  # only when something is asked

            self._connector = client
        return self._connector

    def connect(self) -> Client | None:
        """The project's supervisor, when one runs."""
        return self.connector.connect(self.layout, self.project)

    def ensure(self) -> Client:
        """The project's supervisor, started when none runs."""
        return self.connector.ensure(self.layout, self.project)

    def known(self) -> bool:
        """True when the machine has anything of the project, running or not."""
        paths = self.layout.project(self.project)
        return paths.state.exists() or paths.run.exists()
