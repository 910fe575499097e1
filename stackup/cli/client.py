"""What the verbs need of ``control.client``; tests put their own in its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from stackup.base.paths import Layout

Event = dict[str, Any]


class Client(Protocol):
    """``control.client.Client``"""

    def fileno(self) -> int: ...

    def close(self) -> None: ...

    def take_fds(self) -> list[int]: ...

    def cancel(self, how: str) -> None: ...

    def send(self, message: dict[str, Any]) -> None: ...

    def request(
        self, verb: str, args: dict[str, Any], *, files: dict[str, Any] | None = None, fds: Sequence[int] = ()
    ) -> Iterator[Event]: ...


class Connector(Protocol):
    """How a client is come by: the module ``control.client`` itself."""

    def connect(self, layout: Layout, project: str, /) -> Client | None: ...

    def ensure(self, layout: Layout, project: str, /) -> Client: ...
