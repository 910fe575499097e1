"""What several verbs share: flags that look the same everywhere, and the answer for a project that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackup.base.errors import UsageError
from stackup.cli.options import argument, value
from stackup.cli.session import Session

if TYPE_CHECKING:
    from stackup.cli.client import Client
    from stackup.cli.follow import Outcome


def services(help: str = "Services (default: all).") -> Any:
    return argument(help, metavar="SERVICE", many=True)


def timeout(help: str = "Seconds to wait before killing a container.") -> Any:
    return value("-t", "--timeout", help=help, kind=int, metavar="SECONDS")


def change(session: Session, verb: str, request: Any, *, missing: str) -> int:
    """Sends a request that changes a project which must exist already; ``missing`` is said where it does not."""
    client = existing(session)
    if client is None:
        session.console.warn(f"{missing} for project {session.project}")
        return 0
    return send(session, client, verb, vars(request)).exit_code


def existing(session: Session) -> Client | None:
    """The project's supervisor, started when there are records of the project; None where there is nothing at all."""
    client = session.connect()
    if client is None and session.known():
        client = session.ensure()
    return client


def send(session: Session, client: Client, verb: str, args: dict[str, Any], *, quiet: bool = False) -> Outcome:
    from stackup.cli.follow import Follower  # ps and images do without

    if quiet:
        session.console = session.console._replace(progress="quiet")
    return Follower(session, client, verb).run(verb, dict(args))


def refuse_both(first: str, first_given: object, second: str, second_given: object) -> None:
    if first_given and second_given:
        raise UsageError(f"cannot use {first} together with {second}")
