"""``.env`` and ``env_file`` formats: comments, ``export``, quotes, values over several lines, interpolation.

The rules are those of Compose's own reader: single quotes are literal, double quotes know escapes and variables,
an unquoted value ends at `` #`` or the end of the line, a name alone is inherited from the environment.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from pathlib import Path

from stackup.base.values import frozen
from stackup.stackfile.limits import MAX_VALUES, TOO_MANY
from stackup.stackfile.nodes import Node, Source
from stackup.stackfile.problems import Problems
from stackup.stackfile.template import Asked, Lookup, Outcome, TemplateError, substitute

_EXPORT = re.compile(r"export\s+")
_ESCAPE = re.compile(r"\\([abcfnrtv$\"\\]|0[0-7]{0,3})")
_ESCAPES = {"a": "\a", "b": "\b", "c": "\\c", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"'}
_ESCAPES |= {"\\": "\\", "$": "$$"}
_EXPRESSION = re.compile(r"\$\{[^{}]*\}?|\$[A-Za-z_][A-Za-z0-9_]*")
_FORM = "a line is NAME=value, NAME alone (taken from the environment), or a # comment"
_QUOTED = {quote: re.compile(rf"{quote}((?:[^{quote}\\]++|\\.)*+){quote}", re.DOTALL) for quote in "'\""}
_GUARDED = re.compile(r"\\(.)", re.DOTALL)
_PLAIN = re.compile(r"[^\\\"']+")  # inside of quotes: nothing that needs a thought
_LONG = 1 << 20  # characters of a quoted value from which only its beginning is pointed at
_BLANK = " \t\v\f\r\x85\xa0"


@frozen
class Mistake:
    """``line`` and ``column`` count from 1."""

    message: str
    line: int
    column: int
    hint: str = ""


Report = Callable[[Mistake], None]
Unset = Callable[[str, int, int], None]
AskedBy = dict[str, tuple[Asked, ...]]


def parse(
    text: str, lookup: Lookup, report: Report, unset: Unset | None = None, asked: AskedBy | None = None
) -> dict[str, str | None]:
    """Names to values; None for a name alone that the environment does not have. ``report`` hears of every mistake.

    Variables in values are looked up with ``lookup`` first, then among the names defined above. ``unset`` hears of
    those that neither has, with line and column. ``asked`` gets, by name, the look-ups for its value.
    """
    return _Reader(text.removeprefix("\ufeff").replace("\r\n", "\n"), lookup, report, unset, asked).run()


def parse_raw(text: str, lookup: Lookup, report: Report) -> dict[str, str | None]:
    """``format: raw``: what follows ``=`` is the value, quotes and dollars and all."""
    result: dict[str, str | None] = {}
    for number, written in enumerate(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), 1):
        line = written.lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not name.strip() or any(char.isspace() for char in name):
            column = len(written) - len(line) + 1
            report(Mistake(f"{name.strip() or line!r} is not a variable's name", number, column, _FORM))
            continue
        result[name] = value if equals else lookup(name)
    return result


def read(
    path: Path,
    text: str,
    lookup: Lookup,
    problems: Problems,
    *,
    raw: bool = False,
    what: str = "the env file",
    asked: AskedBy | None = None,
) -> Mapping[str, str | None]:
    """Like ``parse``; what is wrong goes to ``problems`` with its place."""
    source = Source(str(path), text, str(path.parent))

    def report(mistake: Mistake) -> None:
        message = f"cannot read {what} {path}: {mistake.message}"
        problems.at(source, mistake.line, mistake.column, message, hint=mistake.hint)

    def unset(name: str, line: int, column: int) -> None:
        if not problems.crowded() and problems.once(f"unset variable {name} in {path}:{line}"):
            warn_unset(problems, source, name, line, column)

    if "\0" in text:
        at = text.index("\0")
        report(Mistake("it holds a NUL byte, so it is no text file", *_Lines(text).place(at)))
        return {}
    values = parse_raw(text, lookup, report) if raw else parse(text, lookup, report, unset, asked)
    if "" in values:
        line = next((number for number, line in enumerate(text.split("\n"), 1) if line.lstrip()[:1] in ("=", ":")), 1)
        column = len(source.line(line)) - len(source.line(line).lstrip()) + 1
        problems.warn(Node("=", source, line, column), "this value has no name before its sign", hint=_FORM)
    return values


def warn_unset(problems: Problems, source: Source, name: str, line: int, column: int) -> None:
    """Says that a variable became an empty text. The expression stands at that place."""
    match = _EXPRESSION.match(source.line(line), column - 1)
    there = Node(match[0] if match else "", source, line, column)
    hint = f"set it in the environment or in .env, or give a default: ${{{name}:-...}}"
    problems.warn(there, f"the variable {name} is not set and becomes an empty text", hint=hint)


class _Lines:
    """From an index in a text to its line and column, without counting from the start each time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts: list[int] = []

    def place(self, index: int) -> tuple[int, int]:
        if not self.starts:
            self.starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        line = bisect_right(self.starts, index)
        return line, index - self.starts[line - 1] + 1


class _Skip(Exception):
    """The statement is wrong, and has been reported; reading goes on in the next line."""


class _Reader:
    def __init__(self, text: str, lookup: Lookup, report: Report, unset: Unset | None, asked: AskedBy | None) -> None:
        self.text = text
        self.lookup = lookup
        self.report = report
        self.unset = unset
        self.asked = asked
        self.found: list[Asked] = []  # the look-ups of the current statement
        self.lines = _Lines(text)
        self.at = 0
        self.values: dict[str, str | None] = {}

    def run(self) -> dict[str, str | None]:
        left = MAX_VALUES
        while self.skip_to_statement():
            left -= 1
            if left < 0:
                self.error(TOO_MANY, self.at)
                break
            try:
                self.found = []
                name, inherited = self.name()
                self.values[name] = self.lookup(name) if inherited else self.value()
                if self.asked is not None:
                    self.asked[name] = tuple(self.found)
            except _Skip:
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
        return self.values

    def skip_to_statement(self) -> bool:
        """Moves past blank lines and comments; False at the end of the file."""
        text = self.text
        while self.at < len(text):
            if text[self.at].isspace():
                self.at += 1
            elif text[self.at] == "#":
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            else:
                return True
        return False

    def name(self) -> tuple[str, bool]:
        """The name at the current place, and whether it stands alone (its value is then inherited)."""
        text = self.text
        if export := _EXPORT.match(text, self.at):
            self.at = export.end()
        start = self.at
        while self.at < len(text):
            char = text[self.at]
            if char in "=:\n":
                break
            if char not in _BLANK and char not in "_.-[]" and not char.isalnum():
                raise self.error(f"{char!r} may not be part of a variable's name", self.at, _FORM)
            self.at += 1
        end = text[self.at] if self.at < len(text) else "\n"
        name = text[start : self.at].strip()
        self.at += 1
        if any(char in _BLANK for char in name):
            self.at -= end == "\n"
            raise self.error(f"the name {name!r} holds a space", start, _FORM)
        return name, end == "\n"

    def value(self) -> str:
        text = self.text
        while self.at < len(text) and text[self.at] in _BLANK:
            self.at += 1
        quote = text[self.at] if self.at < len(text) else ""
        if quote and quote in "'\"":
            return self.quoted(quote)
        start = self.at
        end = text.find("\n", start)
        self.at = len(text) if end < 0 else end
        return self.expand(text[start : self.at].partition(" #")[0].rstrip(), start)

    def quoted(self, quote: str) -> str:
        """From the opening quote to the matching one, over line ends; a backslash guards only the quote here."""
        start = self.at
        match = _QUOTED[quote].match(self.text, start)
        if match is None:
            raise self.error(f"the quote {quote} is never closed", start)
        self.at = match.end()
        value = match[1]
        if f"\\{quote}" in value:
            value = _GUARDED.sub(lambda found: found[1] if found[1] == quote else found[0], value)
        return self.expand(_ESCAPE.sub(_unescape, value), start, quoted=True) if quote == '"' else value

    def expand(self, value: str, start: int, *, quoted: bool = False) -> str:
        """``value`` with its variables. It was written at ``start``, where its opening quote is if it is ``quoted``."""

        def find(name: str) -> str | None:
            found = self.lookup(name)
            return self.values.get(name) if found is None else found

        places: list[int] = []
        missed: set[str] = set()

        def index(offset: int) -> int:
            if not quoted or len(value) > _LONG:
                return start if quoted else start + offset
            if not places:
                places.extend(self.written(start))
            return places[offset]

        def record(asked: Asked) -> None:
            self.found.append(asked)
            if asked.outcome is Outcome.UNSET and self.unset is not None and asked.name not in missed:
                missed.add(asked.name)
                self.unset(asked.name, *self.lines.place(index(asked.offset)))

        try:
            return substitute(value, find, record)
        except TemplateError as error:
            where = index(error.offset)
            self.report(Mistake(str(error), *self.lines.place(where), error.hint))
            return ""

    def written(self, start: int) -> list[int]:
        """Where each character of a value in double quotes stands in the text; ``start`` is the opening quote."""
        text, index = self.text, start + 1
        chars: list[str] = []
        places: list[int] = []
        while index < len(text) and text[index] != '"':
            if plain := _PLAIN.match(text, index):
                chars.append(plain[0])
                places.extend(range(index, plain.end()))
                index = plain.end()
                continue
            step = 2 if text[index] == "\\" and index + 1 < len(text) else 1
            for offset in range(step):
                if text[index : index + step] != '\\"' or offset:
                    chars.append(text[index + offset])
                    places.append(index + offset)
            index += step
        result: list[int] = []
        end = 0
        for match in _ESCAPE.finditer("".join(chars)):
            result += places[end : match.start()] + [places[match.start()]] * len(_unescape(match))
            end = match.end()
        return [*result, *places[end:], index]

    def error(self, message: str, index: int, hint: str = "") -> _Skip:
        self.report(Mistake(message, *self.lines.place(index), hint))
        return _Skip()


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code, 8)) if code[0] == "0" else _ESCAPES[code]
