"""Reads files for one load and remembers which: what was read, and what was looked for and not there."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from stackup.base.errors import Position, StackFileError
from stackup.stackfile.limits import MAX_BYTES, too_large
from stackup.stackfile.nodes import Source
from stackup.stackfile.request import Input


class Sources:
    """Every file access of a load goes through here."""

    def __init__(self) -> None:
        self.inputs: dict[str, Input] = {}
        self.absent: dict[str, None] = {}
        self._texts: dict[str, str] = {}

    def read(self, path: Path, what: str) -> str:
        """The text. Raises StackFileError naming ``what`` (``the env file``) when there is none."""
        key = str(path)
        if key in self._texts:
            return self._texts[key]
        try:
            with open(path, "rb", opener=None if _is_handed_in(key) else _without_waiting) as file:
                status = os.fstat(file.fileno())
                if stat.S_ISDIR(status.st_mode):
                    raise IsADirectoryError(21, "it is a directory")
                if not (stat.S_ISREG(status.st_mode) or _is_handed_in(key) or status.st_rdev == _NULL):
                    raise OSError(0, "it is no regular file")
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            self.absent[key] = None
            raise StackFileError(f"cannot read {what} {path}: {_reason(error)}") from None
        except ValueError:
            raise StackFileError(f"cannot read {what} {str(path)!r}: the path holds a NUL byte") from None
        self.inputs[key] = Input(key, status.st_mtime_ns, status.st_size, status.st_ino)
        if len(data) > MAX_BYTES:
            raise StackFileError(f"cannot read {what} {path}: {too_large(max(status.st_size, len(data)))}")
        if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or b"\0" in data[:2] != b"\0\0":
            said = f"cannot read {what} {path}: it is written in UTF-16"
            raise StackFileError(said, hint="save the file as UTF-8", where=Position(key, 1, 1))
        try:
            data = data.removeprefix(codecs.BOM_UTF8)
            text = data.decode()
        except UnicodeDecodeError as error:
            before = data[: error.start].decode()
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            shown = Source(key, data.decode(errors="replace"), "").snippet(line, column)
            raise StackFileError(
                f"cannot read {what} {path}: this is not UTF-8",
                hint="save the file as UTF-8",
                where=Position(key, line, column),
                snippet=shown,
            ) from None
        self._texts[key] = text
        return text

    def check(self, names: Iterable[str]) -> None:
        """Raises StackFileError for a stack file that is not there, or that is a directory."""
        for name in names:
            if name == "-" or self.exists(Path(name)):
                continue
            if os.path.isdir(name):
                hint = f"name the file in it, such as {name}/compose.yaml, or use --project-directory {name}"
                raise StackFileError(f"cannot use {name} as the stack file: it is a directory", hint=hint)
            self.read(Path(name), "the stack file")

    def exists(self, path: Path) -> bool:
        """True for a file (or anything but a directory). The answer is remembered as an input either way."""
        try:
            there = not stat.S_ISDIR(os.stat(path).st_mode)
        except (OSError, ValueError):
            there = False
        if not there:
            self.absent[str(path)] = None
        return there


_NULL = os.makedev(1, 3)  # /dev/null: an empty file
_HANDED_IN = ("/dev/fd/", "/proc/self/fd/")


def _is_handed_in(path: str) -> bool:
    """What the caller's shell has opened: ``-f <(make-a-stack)``."""
    return path == "/dev/stdin" or path.startswith(_HANDED_IN)


def _without_waiting(path: str, flags: int) -> int:
    """A pipe that nobody writes to would keep us for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def _reason(error: OSError) -> str:
    words = {2: "there is no such file", 13: "permission denied", 20: "a part of the path is no directory"}
    return words.get(error.errno or 0, error.strerror or str(error))
