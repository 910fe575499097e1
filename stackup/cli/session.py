"""What a verb has at hand: the global options, the console, the project's name and its supervisor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from stackup.base.paths import Layout
from stackup.cli import resolve
from stackup.cli.globals import Globals
from stackup.cli.terminal import Console

if TYPE_CHECKING:
    from stackup.stackfile import Loaded

Event = dict[str, Any]


class Client(Protocol):
    """What the verbs need of ``control.client.Client``."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...

    def take_fds(self) -> list[int]: ...

    def cancel(self, how: str) -> None: ...

    def request(
        self, verb: str, args: dict[str, Any], *, files: dict[str, Any] | None = None, fds: Sequence[int] = ()
    ) -> Iterator[Event]: ...


class Connector(Protocol):
    """How a client is come by; tests put their own here."""

    def connect(self, layout: Layout, project: str) -> Client | None: ...

    def ensure(self, layout: Layout, project: str) -> Client: ...


class SupervisorConnector:
    """The real one; the module is imported only when something is asked."""

    def connect(self, layout: Layout, project: str) -> Client | None:
        from stackup.control import client

        return client.connect(layout, project)

    def ensure(self, layout: Layout, project: str) -> Client:
        from stackup.control import client

        return client.ensure(layout, project)


@dataclass
class Session:
    """One command of one user. Not frozen only for the sake of the cached project name."""

    options: Globals
    layout: Layout
    console: Console
    environment: Mapping[str, str]
    cwd: str
    connector: Connector = field(default_factory=SupervisorConnector)

    @cached_property
    def project(self) -> str:
        """The project's name; reads the stack file only when nothing quicker tells."""
        return resolve.project_name(self)

    def load(self) -> Loaded:
        """The stack file, read properly; its warnings are printed, and the project's name is remembered."""
        return resolve.load(self)

    def connect(self) -> Client | None:
        """The project's supervisor, when one runs."""
        return self.connector.connect(self.layout, self.project)

    def ensure(self) -> Client:
        """The project's supervisor, started when none runs."""
        return self.connector.ensure(self.layout, self.project)

    def known(self) -> bool:
        """True when the machine has records of the project, running or not."""
        return self.layout.project(self.project).records.exists()
