"""``.env`` and ``env_file`` formats: comments, ``export``, quotes, values over several lines, interpolation.

The rules are those of Compose's own reader: single quotes are literal, double quotes know escapes and variables,
an unquoted value ends at `` #`` or the end of the line, a name alone is inherited from the environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from stackup.stackfile.nodes import Source
from stackup.stackfile.problems import Problems
from stackup.stackfile.template import Lookup, TemplateError, substitute

_EXPORT = re.compile(r"export\s+")
_ESCAPE = re.compile(r"\\([abcfnrtv$\"\\]|0[0-7]{0,3})")
_ESCAPES = {"a": "\a", "b": "\b", "c": "\\c", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"'}
_ESCAPES |= {"\\": "\\", "$": "$$"}
_BLANK = " \t\v\f\r\x85\xa0"


class DotenvError(Exception):
    """``line`` and ``column`` count from 1."""

    def __init__(self, message: str, line: int, column: int, hint: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.hint = hint


def parse(text: str, lookup: Lookup, unset: Callable[[str], None] | None = None) -> dict[str, str | None]:
    """Names to values; None for a name alone that the environment does not have. Raises DotenvError.

    Variables in values are looked up with ``lookup`` first, then among the names defined above.
    """
    return _Reader(text.removeprefix("\ufeff").replace("\r\n", "\n"), lookup, unset).run()


def parse_raw(text: str, lookup: Lookup) -> dict[str, str | None]:
    """``format: raw``: what follows ``=`` is the value, quotes and dollars and all. Raises DotenvError."""
    result: dict[str, str | None] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), 1):
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not name.strip() or any(char.isspace() for char in name):
            raise DotenvError(f"{name.strip() or line!r} is not a variable's name", number, 1)
        result[name] = value if equals else lookup(name)
    return result


def read(path: Path, text: str, lookup: Lookup, problems: Problems, *, raw: bool = False) -> Mapping[str, str | None]:
    """Like ``parse``, but what is wrong goes to ``problems`` with its place."""
    source = Source(str(path), text, str(path.parent))
    try:
        values = parse_raw(text, lookup) if raw else parse(text, lookup)
        if "" in values:
            problems.warn(None, f"{path}: a value has no name before its '='")
        return values
    except DotenvError as error:
        message = f"cannot read the env file {path}: {error}"
        problems.at(source, error.line, error.column, message, hint=error.hint)
        return {}


class _Reader:
    def __init__(self, text: str, lookup: Lookup, unset: Callable[[str], None] | None) -> None:
        self.text = text
        self.lookup = lookup
        self.unset = unset
        self.at = 0
        self.values: dict[str, str | None] = {}

    def run(self) -> dict[str, str | None]:
        while self.skip_to_statement():
            name, inherited = self.name()
            self.values[name] = self.lookup(name) if inherited else self.value()
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
                line = text[start:].partition("\n")[0]
                raise self.error(f"{char!r} may not be part of a variable's name in {line!r}", self.at)
            self.at += 1
        end = text[self.at] if self.at < len(text) else "\n"
        name = text[start : self.at].strip()
        self.at += 1
        if any(char in _BLANK for char in name):
            raise self.error(f"the name {name!r} holds a space", start, "NAME=value; write values with spaces after =")
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
        text = self.text
        start = self.at
        chars: list[str] = []
        index = start + 1
        while index < len(text):
            char = text[index]
            if char == "\\" and index + 1 < len(text):
                following = text[index + 1]
                chars.append(following if following == quote else char + following)
                index += 2
                continue
            if char == quote:
                self.at = index + 1
                value = "".join(chars)
                return self.expand(_ESCAPE.sub(_unescape, value), start) if quote == '"' else value
            chars.append(char)
            index += 1
        raise self.error(f"the quote {quote} is never closed", start)

    def expand(self, value: str, start: int) -> str:
        def find(name: str) -> str | None:
            found = self.lookup(name)
            return self.values.get(name) if found is None else found

        unset = self.unset
        try:
            return substitute(value, find, (lambda name, _: unset(name)) if unset else None)
        except TemplateError as error:
            raise self.error(str(error), start, error.hint) from None

    def error(self, message: str, index: int, hint: str = "") -> DotenvError:
        before = self.text[:index]
        return DotenvError(message, before.count("\n") + 1, index - before.rfind("\n"), hint)


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code, 8)) if code[0] == "0" else _ESCAPES[code]
