"""Short ways to load a text as a stack file and to look at what is said about it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

from stackup.base.errors import StackFileError
from stackup.stackfile import Loaded, LoadRequest, load


def write(directory: Path, **files: str) -> None:
    """Files by name; ``__`` in a name stands for a dot, ``___`` for a slash."""
    for name, text in files.items():
        path = directory / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))


def load_in(directory: Path, *files: str, environment: dict[str, str] | None = None, **more: Any) -> Loaded:
    return load(LoadRequest(directory, files, environment={"HOME": "/home/u", **(environment or {})}, **more))


def load_text(directory: Path, text: str, **more: Any) -> Loaded:
    write(directory, compose__yaml=text)
    return load_in(directory, **more)


def errors_of(directory: Path, text: str, **more: Any) -> list[StackFileError]:
    """All errors of a text, in the order in which they are shown; none when it loads."""
    try:
        load_text(directory, text, **more)
    except StackFileError as error:
        return [error, *(item for item in error.details if isinstance(item, StackFileError))]
    return []


def said(error: StackFileError) -> str:
    """``line:column message (hint)``: what the golden texts hold."""
    where = f"{error.where.line}:{error.where.column} " if error.where else ""
    return f"{where}{error.message}" + (f" ({error.hint})" if error.hint else "")
