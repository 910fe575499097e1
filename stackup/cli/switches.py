"""``--wait=true``, ``--pause=false``, ``-d=0``: switches with a value, as every boolean option of docker's takes one.

Both parsers are given command lines in which they are spelled out, so that neither knows of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stackup.cli.globals import Globals
from stackup.cli.options import Option, options_of
from stackup.cli.registry import GROUPS, SPELLINGS, VERBS, load

# What Go's strconv.ParseBool takes.
TRUTH = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


def spelled_out(argv: Sequence[str]) -> list[str]:
    """The same command line with plain switches only. Raises ValueError, with a text for people, for a value that is
    neither true nor false; what else may be wrong with it is left as it is."""
    if not any(word.startswith("-") and "=" in word for word in argv):
        return list(argv)
    head, rest = _plain(options_of(Globals), argv, stop_at_argument=True)
    if not rest:
        return head
    name, rest = rest[0], rest[1:]
    head.append(name)
    if name in GROUPS and rest and (inner := SPELLINGS.get(rest[0], rest[0])) in GROUPS[name]:
        head.append(rest[0])
        name, rest = f"{name} {inner}", rest[1:]
    elif name not in VERBS:
        return [*head, *rest]
    verb = load(name)
    words, rest = _plain(verb.options, rest, stop_at_argument=verb.positional_last)
    return [*head, *words, *rest]


class _Spelling:
    """Words so far, and what the switches among them come to: the last one counts."""

    def __init__(self, options: Sequence[Option]) -> None:
        self._options = {option.name: option for option in options}
        self._words: list[tuple[str, str]] = []  # with the name of the switch that it is, or ""
        self._valued: dict[str, bool] = {}

    def word(self, *words: str) -> None:
        self._words += [(word, "") for word in words]

    def switch(self, option: Option, flag: str) -> None:
        self._words.append((flag, option.name))
        self._valued.pop(option.name, None)

    def valued(self, option: Option, flag: str, text: str) -> None:
        if text not in TRUTH:
            raise ValueError(f"cannot use {flag}={text}: it is either true or false")
        self._words = [item for item in self._words if item[1] != option.name]
        self._valued[option.name] = TRUTH[text]

    def result(self) -> list[str]:
        """The switches first, for behind a ``--`` they would be none."""
        names = [name if wanted else self._options[name].opposite for name, wanted in self._valued.items()]
        given = {name for _, name in self._words}
        flags = [self._options[name].flags[0] for name in dict.fromkeys(names) if name and name not in given]
        return [*flags, *(word for word, _ in self._words)]


def _plain(options: Sequence[Option], argv: Sequence[str], *, stop_at_argument: bool) -> tuple[list[str], list[str]]:
    """``argv`` up to where options end, and what follows."""
    table = {flag: option for option in options for flag in option.flags}
    found, queue = _Spelling(options), list(argv)
    while queue:
        word = queue[0]
        if word == "--" or (stop_at_argument and (len(word) < 2 or word[0] != "-")):
            break
        queue.pop(0)
        if len(word) < 2 or word[0] != "-":
            found.word(word)
        elif word.startswith("--"):
            _long(table, found, word, queue)
        else:
            _short(table, found, word, queue)
    return found.result(), queue


def _long(table: Mapping[str, Option], found: _Spelling, word: str, queue: list[str]) -> None:
    flag, equals, text = word.partition("=")
    option = table.get(flag)
    if option is None or option.kind is not bool:
        found.word(word, *(queue[:1] if option and not equals else ()))
        if option and not equals:
            del queue[:1]
    elif equals:
        found.valued(option, flag, text)
    else:
        found.switch(option, flag)


def _short(table: Mapping[str, Option], found: _Spelling, word: str, queue: list[str]) -> None:
    """``-d=false``, and ``-dq=false``, in which the value is that of the last one."""
    for index, letter in enumerate(word[1:], 1):
        flag, rest = f"-{letter}", word[index + 1 :]
        option = table.get(flag)
        if option is None or option.kind is not bool:
            found.word(f"-{word[index:]}", *(queue[:1] if option and not rest else ()))
            if option and not rest:
                del queue[:1]
            return
        if rest.startswith("="):
            found.valued(option, flag, rest[1:])
            return
        found.switch(option, flag)
