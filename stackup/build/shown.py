"""An instruction that failed, as an error shows it: its lines as they stand in the Dockerfile, and what it printed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from stackup.base.escapes import harmless
from stackup.build.dockerfile import Instruction

TAIL_LINES = 20  # of a command's output
_LONGEST = 500  # characters of one of them
_MOST = 24  # lines of an instruction
_ENDS = 10  # of them, where there are more
_MEANINGS = {126: "it cannot be executed", 127: "command not found"}
_BY_SIGNAL = 128
_SIGNALS = {6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 15: "SIGTERM"}


class Tail:
    """The last lines of a command's output."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)

    def add(self, lines: Sequence[str]) -> None:
        self._lines.extend(_shortened(line) for line in lines[-TAIL_LINES:])

    @property
    def lines(self) -> list[str]:
        """For an error: harmless, and not too long."""
        return [harmless(line) for line in self._lines]


def _shortened(line: str) -> str:
    half = _LONGEST // 2
    return line if len(line) <= _LONGEST else f"{line[:half]} [...] {line[-half:]}"


def in_one_line(item: Instruction) -> str:
    """A script that stands in a heredoc by how it begins, as BuildKit has it: ``RUN <<EOF (apt-get update...)``."""
    script = item.heredocs[0].content.strip() if item.keyword == "RUN" and item.heredocs else ""
    first, more, _ = script.partition("\n")
    return harmless(f"{item.text} ({first.strip()}{'...' if more else ''})" if first else item.text)


def lines_of(item: Instruction) -> list[str]:
    """Those in the middle of a very long one are left out."""
    lines = [harmless(line).rstrip() for line in item.lines] or [harmless(item.text)]
    if len(lines) <= _MOST:
        return lines
    return [*lines[:_ENDS], f"... {len(lines) - 2 * _ENDS} more lines", *lines[-_ENDS:]]


def snippet(item: Instruction, output: Sequence[str]) -> str:
    """``output``: the last lines that the command printed."""
    return "\n".join([*lines_of(item), *(["", "its last output:", *output] if output else [])])


def exit_code(code: int) -> str:
    """``exit code 127 (command not found)``."""
    meaning = _MEANINGS.get(code) or _SIGNALS.get(code - _BY_SIGNAL, "")
    return f"exit code {code}{f' ({meaning})' if meaning else ''}"
