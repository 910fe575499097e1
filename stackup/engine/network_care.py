"""What others do to a project's networks behind its back: looked for, told, and put right.

The kernel tells of it (``LinkWatch``, ``FirewallWatch``); ``guard`` asks what is wrong and in which order it is mended.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any

from stackup.base import log
from stackup.base.errors import HostUnfit, StackupError
from stackup.engine.container import Container
from stackup.network.linkwatch import LinkWatch
from stackup.network.mending import Fault, MendingManager
from stackup.network.standalone import Standalones
from stackup.network.types import Attachment, NetworkState
from stackup.network.watch import FirewallWatch

Record = dict[str, Any]


class NetworkCare:
    """``states`` by key and ``attachments`` by container are the network desk's own; ``know`` tells it of a network
    that was made anew."""

    def __init__(
        self,
        manager: MendingManager,
        standalones: Standalones,
        states: dict[str, NetworkState],
        attachments: dict[str, tuple[Attachment, ...]],
        know: Callable[[NetworkState], object],
    ) -> None:
        self._manager = manager
        self._standalones = standalones
        self._states = states
        self._attachments = attachments
        self._know = know
        self._watch = FirewallWatch(asyncio.get_running_loop(), self._firewall_changed)
        self._check: asyncio.Task[None] | None = None
        self._links: LinkWatch | None = None
        self.on_put_back: Callable[[str], object] = log.note  # told what somebody had taken from the firewall

    def watch_links(self, lost: Callable[[set[str]], object]) -> None:
        """``lost`` is called with the names of links that are gone or down, whosever they are."""
        self._links = LinkWatch(asyncio.get_running_loop(), lost)

    def link_names(self, containers: Iterable[Container]) -> set[str]:
        """Bridges, and the host's ends of the links of ``containers``."""
        found = {state.bridge for state in self._states.values()}
        return found.union(item.host_name for place in containers for item in self._attachments.get(place.id, ()))

    def network_names(self) -> dict[str, str]:
        """Key -> full name."""
        return {key: state.name for key, state in self._states.items()}

    async def look(self, containers: Iterable[Container]) -> tuple[Fault, ...]:
        """What is wrong with the networks, and with the links of ``containers``, which run."""
        places = [item for container in containers for item in self._attachments.get(container.id, ())]
        return await asyncio.to_thread(self._manager.look, list(self._states.values()), places)

    async def remake(self, key: str) -> Record | None:
        """Makes the bridge of a network anew; answers the state to be recorded, None when it was removed meanwhile."""
        before = self._states.get(key)
        if before is not None and before.external:
            await self._found_again(before)
            return None
        state = await asyncio.to_thread(self._manager.remake, before) if before is not None else None
        if before is None or state is None or self._states.get(key) is not before:
            return None
        self._know(state)
        return state.to_dict()

    async def _found_again(self, state: NetworkState) -> None:
        """An external network is made anew by the stack that it belongs to, or here where it belongs to none."""
        await asyncio.to_thread(self._standalones.ensure, state.name)
        if all(name != state.bridge for _, name in socket.if_nameindex()):
            raise HostUnfit(f"cannot restore network {state.name}: the stack that it belongs to has not done so yet")

    async def reconnect(self, container: Container) -> None:
        """Puts back the links of a running container; the container runs on. Raises StackupError."""
        places = self._attachments.get(container.id, ())
        await asyncio.to_thread(self._manager.reconnect, places, container.state.pid, container.pidfd)

    def _firewall_changed(self) -> None:
        if self._states and (self._check is None or self._check.done()):
            self._check = asyncio.create_task(self._verify())

    async def _verify(self) -> None:
        """Puts back what somebody else flushed."""
        try:
            for text in await asyncio.to_thread(self._put_back):
                self.on_put_back(text)
        except StackupError as error:
            log.note(error.message)

    def _put_back(self) -> list[str]:
        others = [state.name for state in self._states.values() if state.external]
        return [*self._manager.verify(), *(text for name in others for text in self._standalones.verify(name))]

    def close(self) -> None:
        self._watch.close()
        if self._links is not None:
            self._links.close()
