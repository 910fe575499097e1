"""Asks a registry whether it takes somebody's credentials, before they are kept."""

from __future__ import annotations

import time
from collections.abc import Callable

from stackup.base.values import frozen
from stackup.images.registry.caller import Caller
from stackup.images.registry.conversation import Conversation
from stackup.images.registry.credentials import Credential
from stackup.images.registry.errors import Denied
from stackup.images.registry.settings import HUB, Endpoint, load_settings
from stackup.images.registry.transport import Patience, Transport
from stackup.oci.reference import DEFAULT_DOMAIN

_WRONG = "check the user name and the password; some registries want an access token in the password's place"
_HUB_NAMES = (DEFAULT_DOMAIN, HUB, "index.docker.io", "registry.hub.docker.com")


@frozen
class _Given:
    """The credential that is tried, whoever is asked."""

    credential: Credential

    def find(self, _host: str) -> Credential | None:
        return self.credential


def registry_name(text: str) -> str:
    """What people write for a registry (a URL, a name, nothing) as its host."""
    host = text.partition("://")[2] if "://" in text else text
    host = host.strip("/").partition("/")[0]
    return DEFAULT_DOMAIN if not host or host in _HUB_NAMES else host


def check_login(
    caller: Caller,
    host: str,
    credential: Credential,
    patience: Patience | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Raises Denied when the registry refuses them, RegistryError when it cannot be asked."""
    transport = Transport(caller, patience)
    settings = load_settings(caller)
    endpoint = Endpoint(host, "", settings.insecure(host))
    try:
        conversation = Conversation(transport, _Given(credential), endpoint, sleep, lax=settings.insecure)
        conversation.request("GET", "/v2/").drop()
    except Denied as error:
        raise Denied(error.reason.replace(f", with the credentials of {credential}", ""), hint=_WRONG) from None
    finally:
        transport.close()
