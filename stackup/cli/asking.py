"""Requests that only ask: one answer, or the error that came instead."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from stackup.base.errors import ContainerFault, StackupError

if TYPE_CHECKING:
    from stackup.cli.client import Client
    from stackup.cli.session import Session


def grouped(errors: Sequence[StackupError]) -> Iterator[StackupError]:
    """One error that carries the others as details, so that each is shown once."""
    if errors:
        first, rest = errors[0], errors[1:]
        first.details = (*first.details, *rest)
        yield first


def ask(session: Session, client: Client, verb: str, args: dict[str, Any]) -> Any:
    """The result of a request that only asks. Raises the error that came instead."""
    result: Any = None
    errors: list[StackupError] = []
    try:
        for event in client.request(verb, args, files=session.files()):
            match event["event"]:
                case "result":
                    result = event["data"]
                case "notice":
                    session.console.warn(event["text"])
                case "error":
                    errors.append(StackupError.from_dict(event["error"]))
    finally:
        client.close()
    for error in grouped(errors):
        raise error
    return result


def exit_code(errors: Sequence[StackupError], code: int) -> int:
    """As a shell ends: 127 for a command that is not there, 126 for one that cannot be executed."""
    for error in errors:
        if isinstance(error, ContainerFault):
            return {errno.ENOENT: 127, errno.EACCES: 126, errno.EISDIR: 126, errno.ENOEXEC: 126}.get(error.errno, code)
    return code
