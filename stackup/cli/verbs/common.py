"""What several verbs share: flags that look the same everywhere, and the answer for a project that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackup.base.errors import UsageError
from stackup.cli.containers import read
from stackup.cli.naming import with_containers
from stackup.cli.options import argument, value
from stackup.cli.session import Session

if TYPE_CHECKING:
    from stackup.cli.follow import Outcome


POLICIES = ("always", "missing", "never")  # of --pull


def services(help: str = "Services (default: all).") -> Any:
    return argument(help, metavar="SERVICE", many=True)


def timeout(help: str = "Seconds to wait before killing a container.") -> Any:
    return value("-t", "--timeout", help=help, kind=int, metavar="SECONDS")


def change(session: Session, verb: str, request: Any, *, missing: str, words: str = "") -> int:
    """Sends a request that changes a project which must exist already; ``missing`` is said where it does not.
    ``words`` are the verb in an error's text."""
    args = vars(request)
    if request.services:
        having = {row.service for row in read(session)}
        args = {**args, "services": with_containers(session, words or verb, request.services, having)}
        if not args["services"]:
            session.console.warn(f"{missing} for service {', '.join(request.services)}")
            return 0
    if not session.known():
        session.console.warn(f"{missing} for project {session.project}")
        return 0
    return send(session, verb, args).exit_code


def send(session: Session, verb: str, args: dict[str, Any], *, quiet: bool = False) -> Outcome:
    """Asks the project's supervisor, which is started where none runs."""
    from stackup.cli.follow import Follower  # ps and images do without

    if quiet:
        session.console = session.console._replace(progress="quiet")
    return Follower(session, None, verb).run(verb, dict(args))


def refuse_both(first: str, first_given: object, second: str, second_given: object) -> None:
    if first_given and second_given:
        raise UsageError(f"cannot use {first} together with {second}")
