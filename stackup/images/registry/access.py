"""From a reference to the repositories that may have it, with all of the caller's settings."""

from __future__ import annotations

import time
from collections.abc import Callable

from stackup.images.registry.caller import Caller
from stackup.images.registry.client import Repository
from stackup.images.registry.conversation import Conversation
from stackup.images.registry.credentials import Keyring
from stackup.images.registry.settings import Endpoint, Settings, load_settings
from stackup.images.registry.transport import Patience, Transport
from stackup.oci.reference import Reference


class Registries:
    """What one transfer shares: connections, tokens, settings. ``sleep`` waits between two attempts."""

    def __init__(
        self, caller: Caller, patience: Patience | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.patience = patience or Patience()
        self.sleep = sleep
        self.keyring = Keyring(caller)
        self.settings: Settings = load_settings(caller)
        self._transport = Transport(caller, self.patience)
        self._conversations: dict[tuple[str, bool], Conversation] = {}

    def repositories(self, reference: Reference, *, push: bool = False) -> tuple[Repository, ...]:
        """In the order in which they should be asked, the registry itself last. Raises Blocked."""
        endpoints = self.settings.endpoints(reference, push=push)
        actions = "pull,push" if push else "pull"
        return tuple(Repository(self.conversation(item), item, actions) for item in endpoints)

    def conversation(self, endpoint: Endpoint) -> Conversation:
        key = (endpoint.host, endpoint.insecure)
        if key not in self._conversations:
            self._conversations[key] = Conversation(
                self._transport, self.keyring, endpoint, self.sleep, lax=self.settings.insecure
            )
        return self._conversations[key]

    def close(self) -> None:
        self._transport.close()
