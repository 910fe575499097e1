"""Splits a command line into words as Compose does (mattn/go-shellwords), which is not quite as a shell would.

A backslash escapes the next character everywhere but in single quotes; nothing is expanded; an unquoted ``;``, ``&``,
``|``, ``<`` or ``>`` ends the command.
"""

from __future__ import annotations

import re

_SPACES = " \t\r\n"
_STOPS = ";&|<>"
_PLAIN = re.compile(r"[^\\ \t\r\n'\"`;&|<>()]+")


def split(line: str) -> tuple[list[str], str] | None:
    """The words, and what an unquoted operator cut off. None when a quote or bracket is not closed."""
    words: list[str] = []
    word = ""
    begun = False  # an empty quoted word counts as a word
    escaped = False
    quote = ""  # ' or " or ` or ) while inside of one
    index = -1
    while (index := index + 1) < len(line):
        if not escaped and (plain := _PLAIN.match(line, index)):
            word += plain[0]
            begun = True
            index = plain.end()
            if index == len(line):
                break
        char = line[index]
        if escaped:
            word += char
            escaped, begun = False, True
        elif char == "\\" and quote != "'":
            escaped = True
        elif char in _SPACES:
            if quote:
                word += char
            elif begun:
                words.append(word)
                word, begun = "", False
        elif char in "'\"" and quote in ("", char, "`"):
            quote = "" if quote == char else char
            begun = True
        elif char in _STOPS and not quote:
            if char == ">" and word[:1].isdigit():
                begun = False  # a file descriptor belongs to the redirection
            return _finish(words, word, begun), line[index:]
        else:
            if char == "(" and quote not in ("'", '"', "`"):
                if quote or not word.endswith("$"):
                    return None
                quote = ")"
            elif char == ")" and quote not in ("'", '"', "`"):
                quote = "" if quote == ")" else ")"
            elif char == "`" and quote not in ("'", '"', ")"):
                quote = "" if quote == "`" else "`"
            word += char
            begun = True
    return None if escaped or quote else (_finish(words, word, begun), "")


def _finish(words: list[str], word: str, begun: bool) -> list[str]:
    return [*words, word] if begun else words
