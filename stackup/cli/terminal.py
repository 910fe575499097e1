"""What the terminal can do, and text in colour where it can."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple, TextIO

CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "bright_red": "91",
    "bright_green": "92",
    "bright_yellow": "93",
    "bright_blue": "94",
    "bright_magenta": "95",
    "bright_cyan": "96",
}


def paint(text: str, colour: str) -> str:
    """``text`` in a colour; an empty colour leaves it alone."""
    return f"\033[{CODES[colour]}m{text}\033[0m" if colour and text else text


class Console(NamedTuple):
    """Where output goes and how. ``live`` means: the progress stream is a terminal whose cursor may be moved.

    ``progress`` is one of tty, plain, json, quiet: decided, never ``auto``.
    """

    out: TextIO
    err: TextIO
    colour_out: bool
    colour_err: bool
    progress: str
    unicode: bool = True

    @classmethod
    def detect(cls, ansi: str | None, progress: str | None, environment: Mapping[str, str]) -> Console:
        """Reads --ansi, --progress, COMPOSE_ANSI, COMPOSE_PROGRESS, NO_COLOR (no-color.org) and TERM."""
        out, err = sys.stdout, sys.stderr
        mode = ansi or environment.get("COMPOSE_ANSI") or "auto"
        dumb = environment.get("TERM", "") == "dumb" or mode == "never"
        chosen = progress or environment.get("COMPOSE_PROGRESS") or "auto"
        chosen = "json" if chosen == "rawjson" else chosen  # docker compose has both, buildx the latter
        if chosen not in ("tty", "plain", "json", "quiet"):
            chosen = "tty" if _is_terminal(err) and not dumb else "plain"
        no_colour = bool(environment.get("NO_COLOR")) or dumb
        return cls(
            out=out,
            err=err,
            colour_out=mode == "always" or (_is_terminal(out) and not no_colour),
            colour_err=mode == "always" or (_is_terminal(err) and not no_colour),
            progress=chosen,
            unicode=(getattr(err, "encoding", None) or "").lower().replace("-", "") == "utf8",
        )

    def paint_out(self, text: str, colour: str) -> str:
        return paint(text, colour) if self.colour_out else text

    def paint_err(self, text: str, colour: str) -> str:
        return paint(text, colour) if self.colour_err else text

    def print(self, text: str = "") -> None:
        """A line of result, to standard output."""
        self.out.write(text + "\n")

    def say(self, text: str) -> None:
        """A line for the person who watches, to standard error."""
        self.out.flush()
        self.err.write(text + "\n")
        self.err.flush()

    def warn(self, text: str) -> None:
        self.say(f"{self.paint_err('warning', 'yellow')}: {text}")


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def size(fd: int = 2) -> tuple[int, int]:
    """Columns and rows of the terminal, asked anew at every call; 80 x 24 where nobody knows."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return 80, 24
    return columns or 80, rows or 24
