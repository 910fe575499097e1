"""The command line, parsed with the standard library alone in under a millisecond.

Anything that is not a plain, correct command (help, completion, a flag that does not exist, a value that is wrong)
is left to typer, which says so properly. The two agree on every flag: both are made from the same declarations.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from stackup.cli.globals import Globals
from stackup.cli.options import Option, options_of
from stackup.cli.registry import GROUPS, SPELLINGS, VERBS, Verb, load
from stackup.cli.switches import spelled_out


class NotQuickError(Exception):
    """This command line is for typer."""


class Invocation(NamedTuple):
    options: Globals
    verb: Verb
    request: Any


def parse(argv: Sequence[str]) -> Invocation:
    """Raises NotQuickError for everything that is not a complete and correct command."""
    if any(name.endswith("_COMPLETE") for name in os.environ):
        raise NotQuickError
    try:
        argv = spelled_out(argv)
    except ValueError:
        raise NotQuickError from None
    given, rest = _scan(options_of(Globals), argv, stop_at_argument=True)
    options = Globals(**given)
    if options.version and not rest:
        rest = ["version"]
    if not rest:
        raise NotQuickError
    name, rest = rest[0], rest[1:]
    if name in GROUPS and rest and (inner := SPELLINGS.get(rest[0], rest[0])) in GROUPS[name]:
        name, rest = f"{name} {inner}", rest[1:]
    elif name not in VERBS:
        raise NotQuickError
    verb = load(name)
    given, words = _scan(verb.options, rest, stop_at_argument=verb.positional_last)
    return Invocation(options, verb, verb.request(**given, **_arguments(verb.options, words)))


def _scan(
    options: Sequence[Option], argv: Sequence[str], *, stop_at_argument: bool
) -> tuple[dict[str, Any], list[str]]:
    """Takes the flags out of ``argv``; answers their values by field name, and the words that are left."""
    table = {flag: option for option in options for flag in option.flags}
    found: dict[str, Any] = {}
    words: list[str] = []
    queue = list(argv)
    while queue:
        word = queue.pop(0)
        if word == "--":
            return found, words + queue
        if len(word) < 2 or word[0] != "-":
            words.append(word)
            if stop_at_argument:
                return found, words + queue
        elif word.startswith("--"):
            name, equals, attached = word.partition("=")
            _take(table, found, name, attached if equals else None, queue)
        else:
            _take_short(table, found, word, queue)
    return found, words


def _take_short(table: dict[str, Option], found: dict[str, Any], word: str, queue: list[str]) -> None:
    """``-d``, ``-aq``, ``-n5``, ``-n 5``."""
    for index, letter in enumerate(word[1:], 1):
        flag = f"-{letter}"
        option = table.get(flag)
        if option is not None and option.kind is not bool:
            _take(table, found, flag, word[index + 1 :] or None, queue)
            return
        _take(table, found, flag, None, queue)


def _take(table: dict[str, Option], found: dict[str, Any], flag: str, attached: str | None, queue: list[str]) -> None:
    option = table.get(flag)
    if option is None:
        raise NotQuickError
    if option.kind is bool:
        if attached is not None:
            raise NotQuickError
        found[option.name] = True
        return
    if attached is None:
        if not queue:
            raise NotQuickError
        attached = queue.pop(0)
    converted = _convert(option, attached)
    found[option.name] = (*found.get(option.name, ()), converted) if option.many else converted


def _convert(option: Option, text: str) -> Any:
    try:
        return option.convert(text)
    except ValueError:
        raise NotQuickError from None


def _arguments(options: Sequence[Option], words: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in options:
        if option.flags:
            continue
        if option.many:
            taken, words = words, []
            if taken:
                found[option.name] = tuple(taken)
        elif words:
            found[option.name] = words[0]
            words = words[1:]
        if option.required and option.name not in found:
            raise NotQuickError
    if words:
        raise NotQuickError
    return found


def main(argv: Sequence[str]) -> int:
    """Runs a command line; answers the exit code."""
    gc.disable()  # most commands end before there is anything to collect; those that last turn it on again
    try:
        invocation = parse(argv)
    except NotQuickError:
        from stackup.cli.app import main as typer_main

        gc.enable()
        return typer_main(list(argv))
    from stackup.cli.execute import execute

    return execute(invocation.options, invocation.verb, invocation.request)
