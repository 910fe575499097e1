"""What ``network`` and ``volume`` share: filters, labels, questions, and the words for whoever uses a thing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stackup.base.errors import PlanRefused, StackupError, UsageError
from stackup.cli.asking import grouped

if TYPE_CHECKING:
    from collections.abc import Callable

    from stackup.cli.session import Session
    from stackup.engine.records import ContainerRecord

ID_DIGITS = 12


def pairs(kind: str, texts: Sequence[str]) -> dict[str, str]:
    """``KEY=VALUE`` words, the last one of a key counting; a word without ``=`` has an empty value."""
    found = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key:
            raise UsageError(f"cannot use {kind} {text!r}: it is not KEY=VALUE")
        found[key] = value
    return found


def filters(texts: Sequence[str], known: Sequence[str]) -> dict[str, list[str]]:
    """``--filter`` words by their key. Raises UsageError."""
    found: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"cannot filter by {text!r}: it is not KEY=VALUE", hint=f"keys: {', '.join(known)}")
        if key not in known:
            raise UsageError(f"cannot filter by {key!r}: there is no such filter", hint=f"filters: {', '.join(known)}")
        found.setdefault(key, []).append(value)
    return found


def truth(key: str, texts: Sequence[str]) -> bool | None:
    """What ``dangling=true`` asks for; None where nothing does."""
    words = {"true": True, "1": True, "false": False, "0": False}
    if not texts:
        return None
    if texts[-1].lower() not in words:
        raise UsageError(f"cannot filter by {key}={texts[-1]}: it is true or false")
    return words[texts[-1].lower()]


def has_labels(labels: Mapping[str, str], wanted: Sequence[str]) -> bool:
    """``KEY`` or ``KEY=VALUE``, all of them."""
    asked = (text.partition("=") for text in wanted)
    return all(key in labels and (not equals or labels[key] == value) for key, equals, value in asked)


def label_text(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def users_text(users: Sequence[tuple[str, ContainerRecord]]) -> str:
    """``container shop-web-1 (running) of project shop``, ``containers a (exited), b (created) and 3 more of ...``."""
    words = [f"{record.definition.name} ({record.state.phase})" for _, record in users]
    more = f" and {len(words) - 3} more" if len(words) > 4 else ""
    shown = words[:3] if more else words
    projects = projects_of(users)
    whose = f"of project{'s' if len(projects) > 1 else ''} {', '.join(projects)}"
    return f"container{'s' if len(words) > 1 else ''} {', '.join(shown)}{more} {whose}"


def projects_of(users: Iterable[tuple[str, object]]) -> list[str]:
    return list(dict.fromkeys(project for project, _ in users))


def confirm(session: Session, what: str, question: str, *, flag: str = "--force") -> None:
    """Raises PlanRefused unless a person says yes. ``flag`` says so without a person."""
    if not sys.stdin.isatty():
        raise PlanRefused(f"cannot {what}: nobody is there to confirm it", hint=f"give {flag}")
    session.console.err.write(f"{question}\nAre you sure you want to continue? [y/N] ")
    session.console.err.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise PlanRefused(f"cannot {what}: not confirmed")


def each(names: Sequence[str], act: Callable[[str], None]) -> None:
    """``act`` for all of them; errors are raised together, at the end."""
    errors: list[StackupError] = []
    for name in names:
        try:
            act(name)
        except StackupError as error:
            errors.append(error)
    for failure in grouped(errors):
        raise failure


def print_list(session: Session, found: Sequence[Mapping[str, Any]]) -> None:
    session.console.print(json.dumps(found, indent=4))
