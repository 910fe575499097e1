"""``stackup logout``: forgets a registry's credentials."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.options import argument
from stackup.cli.session import Session

NEEDS_ROOT = False


@dataclass(frozen=True)
class Request:
    """Log out of a registry (default: Docker Hub)."""

    server: str = argument("The registry's host, with its port.", metavar="SERVER")


def run(session: Session, request: Request) -> int:
    from stackup.images.registry.caller import Caller
    from stackup.images.registry.credentials import Keyring
    from stackup.images.registry.login import registry_name

    host = registry_name(request.server)
    if Keyring(Caller(session.environment)).erase(host):
        session.console.say(f"logged out of {host}")
    else:
        session.console.say(f"not logged in to {host}")
    return 0
