"""Services that a command line names: those that have containers, and what is wrong with the names of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from stackup.base.errors import StackupError, UsageError
from stackup.cli import resolve

if TYPE_CHECKING:
    from stackup.cli.session import Session


def with_containers(session: Session, verb: str, named: Sequence[str], having: Iterable[str]) -> tuple[str, ...]:
    """Those of ``named`` that are among ``having``, the services with containers.

    Raises UsageError for one that the stack file does not know either, where anything is known at all; ``verb`` is for
    the text: stop, show logs of.
    """
    found = set(having)
    absent = [name for name in named if name not in found]
    if absent:
        known = found | _in_file(session)  # read only now: a correct command needs no YAML
        for name in absent:
            if known and name not in known:
                raise UsageError(
                    f"cannot {verb} service {name}: there is no such service", hint=suggestion(name, known)
                )
    return tuple(name for name in named if name in found)


def suggestion(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(name, names, 1)
    return f"did you mean {close[0]}?" if close else f"services: {', '.join(names) or 'none'}"


def _in_file(session: Session) -> set[str]:
    """Names in the stack file, those that no active profile selects too; nothing where there is no readable file."""
    try:
        return resolve.service_names(session)
    except StackupError:
        return set()
