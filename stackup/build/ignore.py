"""``.dockerignore``: which files of a context do not count. Pure.

The rules are moby's (patternmatcher, frontend/dockerfile/dockerignore): patterns are relative to the context's root and
never match deeper by themselves (``*.log`` is not ``sub/a.log``; ``**/*.log`` is), ``!`` lets something in again, the
last match wins, and what lies below a matched directory is matched.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator


class IgnoreError(ValueError):
    """A pattern is malformed; the text names it. ``line`` counts from 1."""

    line = 0


class IgnoreRules:
    """``name``: of the file that they stand in."""

    def __init__(self, text: str = "", name: str = ".dockerignore") -> None:
        self.name = name
        self._rules = list(_rules(text))
        self._has_exceptions = any(negated for negated, _, _ in self._rules)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def excludes(self, path: str) -> bool:
        """``path`` relative to the context, without a leading slash."""
        return bool(self._line(path))

    def place(self, path: str) -> str:
        """Which line excludes it: ``.dockerignore:3``."""
        return f"{self.name}:{self._line(path)}"

    def _line(self, path: str) -> int:
        """The number of the line that excludes it; 0: none does."""
        parents = [path]
        while "/" in parents[-1]:
            parents.append(parents[-1].rsplit("/", 1)[0])
        found = 0
        for negated, regex, line in self._rules:
            if negated == bool(found) and any(regex.match(item) for item in parents):
                found = 0 if negated else line
        return found

    def prunes(self, path: str) -> bool:
        """Whether a directory can be left out without looking inside: no exception can let something of it in."""
        return self.excludes(path) and not self._has_exceptions


def _rules(text: str) -> Iterator[tuple[bool, re.Pattern[str], int]]:
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        try:
            pattern = _pattern(line)
            if pattern:
                yield (*_rule(pattern), number)
        except IgnoreError as error:
            error.line = number
            raise


def _pattern(line: str) -> str:
    """Cleaned up; empty for comments, blank lines, and what would mean the whole context."""
    pattern = line.strip()
    if line.startswith("#") or not pattern:
        return ""
    negated = pattern.startswith("!")
    pattern = pattern[1:].strip() if negated else pattern
    if not pattern:
        raise IgnoreError("a lone '!' excludes nothing")
    # "/x" means the same as "x"; "./x/" as well.
    pattern = posixpath.normpath(pattern).lstrip("/")
    return "" if pattern in ("", ".") else f"!{pattern}" if negated else pattern


def _rule(pattern: str) -> tuple[bool, re.Pattern[str]]:
    negated = pattern.startswith("!")
    try:
        return negated, re.compile(to_regex(pattern.removeprefix("!")) + r"\Z", re.DOTALL)
    except re.error as error:
        raise IgnoreError(f"pattern '{pattern}' is malformed: {error}") from None


def to_regex(pattern: str) -> str:
    """``**`` any number of directories, ``*`` and ``?`` within one name, ``[...]`` a set, ``\\`` escapes."""
    result, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*" and pattern[at : at + 1] == "*":
            at += 1
            if pattern[at : at + 1] == "/":
                at += 1
            result += ".*" if at >= len(pattern) else "(?:.*/)?"
        elif char == "*":
            result += "[^/]*"
        elif char == "?":
            result += "[^/]"
        elif char == "[":
            found, at = _set(pattern, at)
            result += found
        elif char == "\\":
            if at == len(pattern):
                raise IgnoreError(f"pattern '{pattern}' is malformed: nothing follows its last '\\'")
            result += re.escape(pattern[at])
            at += 1
        else:
            result += re.escape(char)
    return result


def _set(pattern: str, at: int) -> tuple[str, int]:
    """What follows ``[``, as Go's filepath.Match reads it: ``-`` and ``]`` themselves only behind a backslash."""
    negated = pattern[at : at + 1] == "^"
    at += negated
    members = ""
    while pattern[at : at + 1] != "]" or not members:
        first, at = _member(pattern, at)
        members += re.escape(first)
        if pattern[at : at + 1] == "-":
            last, at = _member(pattern, at + 1)
            members += f"-{re.escape(last)}"
    return f"[{'^' if negated else ''}{members}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] == "\\":
        at += 1
    elif pattern[at : at + 1] in ("-", "]"):
        raise IgnoreError(f"pattern '{pattern}' is malformed: write '\\{pattern[at]}' inside of brackets")
    if at >= len(pattern):
        raise IgnoreError(f"pattern '{pattern}' is malformed: '[' is not closed")
    return pattern[at], at + 1
