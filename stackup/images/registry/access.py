"""From a reference to the repositories that may have it, with all of the caller's settings."""

from __future__ import annotations

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
        self, caller: Caller, patience: Patience | None = None, sleep: Callable[[float], None] | None = None
    ) -> None:
        self.patience = patience or Patience()
        self.say: Callable[[str], None] = lambda _text: None  # hears why something is tried again
        self.keyring = Keyring(caller)
        self.settings: Settings = load_settings(caller)
        self._transport = Transport(caller, self.patience)
        self.sleep = sleep or self._transport.pause
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
                self._transport,
                self.keyring,
                endpoint,
                self.sleep,
                lax=self.settings.insecure,
                say=lambda text: self.say(text),
            )
        return self._conversations[key]

    def use(self, patience: Patience) -> None:
        """From now on."""
        self.patience = self._transport.patience = patience

    def end(self) -> None:
        """Gives up whatever other threads are at."""
        self._transport.end()

    def close(self) -> None:
        self._transport.close()
