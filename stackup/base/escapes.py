"""Control sequences in what a command has printed: shown on somebody's terminal, they must not act on it.

``foreign`` is for names, which have none; a compiler's colours are another thing than a window's title.
"""

from __future__ import annotations

import re

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI (ECMA-48, 5.4): colours, cursor, erasing
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC titles, links, clipboard
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # a lone one, but for tabs and newlines
)
_NO_UTF8 = re.compile("[\ud800-\udfff]")  # bytes that ``surrogateescape`` has read
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_RESET = "\x1b[0m"


def harmless(text: str, *, colours: bool = False) -> str:
    """Without any of them; with ``colours`` those stay, each for the rest of its line at most."""
    if not _SEQUENCE.search(text):
        return text
    if not colours:
        return _SEQUENCE.sub("", text)
    kept = _SEQUENCE.sub(lambda found: found[0] if _COLOUR.fullmatch(found[0]) else "", text)
    return "\n".join(map(_ended, kept.split("\n"))) if "\x1b" in kept else kept


def valid(text: str) -> str:
    """U+FFFD for each byte that was no UTF-8, as Go has it in all that becomes JSON."""
    return _NO_UTF8.sub("\N{REPLACEMENT CHARACTER}", text)


def _ended(line: str) -> str:
    last = line.rpartition("\x1b[")[2].partition("m")[0] if "\x1b" in line else ""
    return line if last in ("", "0") else line + _RESET
