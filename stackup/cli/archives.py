"""Archives on standard input and output, and in files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stackup.base.errors import ImageError, UsageError

if TYPE_CHECKING:
    from stackup.cli.session import Session


def write_out(session: Session, chunks: Iterable[bytes], output: str, what: str) -> None:
    """To the file, which is whole or not there afterwards, or to standard output."""
    from stackup.images.saving import to_file

    if output and output != "-":
        to_file(chunks, Path(session.cwd, os.path.expanduser(output)), session.layout)
        return
    if sys.stdout.isatty():
        raise UsageError(f"cannot write {what} to the terminal", hint="--output FILE, or > FILE")
    session.console.out.flush()
    try:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ImageError(f"cannot write {what}: {error.strerror}") from error


def read_in(session: Session, source: str, what: str, verb: str) -> Path | BinaryIO:
    """A path that exists, or standard input where ``source`` is "-"."""
    if source == "-":
        if sys.stdin.isatty():
            raise UsageError(f"cannot read {what} from the terminal", hint=f"stackup {verb} < FILE")
        return sys.stdin.buffer
    path = Path(session.cwd, os.path.expanduser(source))
    if not path.exists():
        raise ImageError(f"cannot {verb.split()[0]} {source}: there is no such file or directory")
    return path
