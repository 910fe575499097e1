"""Where the end of a container is learnt from: the launcher's message, held back while somebody takes over, or disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from stackup.engine.container import Container
from stackup.engine.world import World
from stackup.runtime.client import Exit


class Endings:
    """Hands exits on, but not those of containers that are still to be taken over: what recovery knows of them is older
    than such a message, and must not come after it."""

    def __init__(self, deliver: Callable[[Exit], None]) -> None:
        self._deliver = deliver
        self._expected: set[str] | None = None  # None: nobody knows yet which containers there are
        self._held: list[Exit] = []

    def __call__(self, event: Exit) -> None:
        if self._expected is None or event.id in self._expected:
            self._held.append(event)
        else:
            self._deliver(event)

    def expect(self, container_ids: Iterable[str]) -> None:
        """These are about to be taken over, and no others."""
        self._expected = set(container_ids)
        self._release()

    def taken_over(self, container_id: str) -> None:
        if self._expected is not None:
            self._expected.discard(container_id)
        self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        for event in held:
            self(event)


def exit_on_disk(world: World, container: Container) -> Exit | None:
    """What a launcher has written about the end of this very incarnation."""
    try:
        data = json.loads(world.container_paths(container.id).exit_file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if data.get("incarnation") != container.state.incarnation:
        return None
    return Exit(container.id, data["status"], data["signal"], data["oom"], data["at_ns"])
