"""Words of a Dockerfile: quotes, escapes, ``$VARIABLE`` and ``${VARIABLE:-default}``.

The rules are BuildKit's (frontend/dockerfile/shell/lex.go): single quotes keep everything, double quotes keep all but
``$`` and the escape character, quotes are removed, an unknown variable is empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_NAME_START = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
_NAME = _NAME_START + "0123456789"
_SPECIAL = "@*#?-$!"


class WordError(ValueError):
    """The word is malformed, or ``${NAME:?message}`` found no value."""


def is_name(text: str) -> bool:
    """A variable's: letters, digits and underscores, no digit first."""
    return bool(text) and text[0] in _NAME_START and all(char in _NAME for char in text)


def expand(word: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """The whole text as one word, quotes removed. Raises WordError."""
    return _Lexer(word, variables, escape).run()[0]


def expand_words(text: str, variables: Mapping[str, str], escape: str = "\\") -> list[str]:
    """Split at unquoted white space after expansion. Raises WordError."""
    return _Lexer(text, variables, escape).run()[1]


def expand_raw(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """Variables are replaced, escapes taken away; quotes stay (heredocs). Raises WordError."""
    return _Lexer(text, variables, escape, raw=True).run()[0]


def split_quoted(text: str, escape: str = "\\") -> list[str]:
    """Splits at unquoted white space and keeps quotes and escapes (BuildKit parser ``parseWords``)."""
    words: list[str] = []
    current, quote, at = "", "", 0
    while at < len(text):
        char = text[at]
        if char == escape and quote != "'" and at + 1 < len(text):
            current += text[at : at + 2]
            at += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char.isspace():
            if current:
                words.append(current)
            current = ""
            at += 1
            continue
        current += char
        at += 1
    return [*words, current] if current else words


class Watched(Mapping[str, str]):
    """Variables that note which of them were asked for and not there, where nothing was said of that case."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.missing: dict[str, None] = {}

    def __getitem__(self, name: str) -> str:
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __contains__(self, name: object) -> bool:
        return name in self._variables

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self._variables:
            self.missing[name] = None
        return self._variables.get(name, default)


class _Lexer:
    def __init__(self, text: str, variables: Mapping[str, str], escape: str, *, raw: bool = False) -> None:
        self.text = text
        self.at = 0
        self.variables = variables
        self.escape = escape
        self.raw = raw

    def _peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def _next(self) -> str:
        char = self._peek()
        self.at += 1
        return char

    def run(self) -> tuple[str, list[str]]:
        return self._until("")

    def _until(self, stop: str, *, keep_escapes: bool = False) -> tuple[str, list[str]]:
        """Up to the unquoted character ``stop``, which is taken. Answers the text and its words."""
        result, words, current, started = "", [], "", False
        while char := self._peek():
            if stop and char == stop:
                self._next()
                break
            quoted = not self.raw and char in "'\""
            if quoted:
                piece, started = (self._single() if char == "'" else self._double()), True
            elif char == "$":
                piece = self._dollar()
            elif char == self.escape and keep_escapes:
                piece = self._next() + self._next()
            elif char == self.escape:
                self._next()
                piece, quoted = self._next(), True
            else:
                piece = self._next()
            result += piece
            for letter in [piece] if quoted else piece:
                if not quoted and letter.isspace():
                    if current or started:
                        words.append(current)
                    current, started = "", False
                else:
                    current += letter
        else:
            if stop:
                raise WordError(f"syntax error: missing '{stop}'")
        return result, [*words, current] if current or started else words

    def _single(self) -> str:
        self._next()
        end = self.text.find("'", self.at)
        if end < 0:
            raise WordError("unexpected end of statement while looking for matching single-quote")
        found = self.text[self.at : end]
        self.at = end + 1
        return found

    def _double(self) -> str:
        self._next()
        result = ""
        while char := self._peek():
            if char == '"':
                self._next()
                return result
            if char == "$":
                result += self._dollar()
            elif char == self.escape:
                self._next()
                following = self._peek()
                result += self._next() if following in ('"', "$", self.escape) and following else char
            else:
                result += self._next()
        raise WordError("unexpected end of statement while looking for matching double-quote")

    def _name(self) -> str:
        start = self.at
        while self._peek().isdigit():
            self.at += 1
        if self.at > start:
            return self.text[start : self.at]
        if self._peek() in _SPECIAL and self._peek():
            return self._next()
        while self._peek() and self._peek() in (_NAME_START if self.at == start else _NAME):
            self.at += 1
        return self.text[start : self.at]

    def _dollar(self) -> str:
        self._next()
        if self._peek() != "{":
            name = self._name()
            return self.variables.get(name, "") if name else "$"
        self._next()
        name = self._name()
        if not name:
            raise WordError("syntax error: bad substitution")
        char = self._next()
        if char == "}":
            return self.variables.get(name, "")
        if char == ":" and self._peek() and self._peek() in "-+?":
            return self._choice(name, self._next(), empty_counts=True)
        if char and char in "-+?":
            return self._choice(name, char, empty_counts=False)
        if char and char in "#%/":
            return self._pattern(name, char)
        raise WordError(f"unsupported modifier ({char or 'end'}) in substitution of {name}")

    def _choice(self, name: str, operator: str, *, empty_counts: bool) -> str:
        word, _ = self._until("}")
        there = name in self.variables  # asked so that nobody counts it as missing
        value = self.variables[name] if there else None
        there = bool(value) if empty_counts else there
        if operator == "+":
            return word if there else ""
        if there:
            return value or ""
        if operator == "?":
            raise WordError(f"{name}: {word or 'not allowed to be ' + ('empty' if empty_counts else 'unset')}")
        return word

    def _pattern(self, name: str, operator: str) -> str:
        """``#`` and ``%`` cut a prefix or suffix, doubled the longest one; ``/`` replaces, doubled everywhere."""
        greedy = self._peek() == operator
        if greedy:
            self._next()
        value = self.variables.get(name, "")
        if operator == "/":
            pattern, _ = self._until("/", keep_escapes=True)
            replacement, _ = self._until("}", keep_escapes=True)
            regex = _regex(pattern.replace("\\/", "/"))
            return (
                re.sub(regex, lambda _: replacement, value, count=0 if greedy else 1)
                if pattern or not greedy
                else value
            )
        pattern, _ = self._until("}", keep_escapes=True)
        compiled = re.compile(_regex(pattern) + r"\Z", re.DOTALL)
        lengths = range(len(value) + 1)
        if operator == "#":
            cuts = [cut for cut in (reversed(lengths) if greedy else lengths) if compiled.match(value[:cut])]
            return value[cuts[0] :] if cuts else value
        cuts = [cut for cut in (lengths if greedy else reversed(lengths)) if compiled.match(value[cut:])]
        return value[: cuts[0]] if cuts else value


def _regex(pattern: str) -> str:
    """``*`` and ``?`` only, no sets; a backslash may stand before them, a brace and itself."""
    result, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "\\":
            escaped = pattern[at : at + 1]
            if not escaped or escaped not in "*?\\}/":
                raise WordError(f"invalid escape '\\{escaped}' in the pattern {pattern}")
            result += re.escape(escaped)
            at += 1
        else:
            result += {"*": ".*", "?": "."}.get(char) or re.escape(char)
    return f"(?s:{result})"
