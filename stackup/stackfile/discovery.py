"""Which files make the stack: ``-f``, COMPOSE_FILE, or the first known name in this directory or one above it."""

from __future__ import annotations

import re
from pathlib import Path

from stackup.base.errors import StackFileError
from stackup.base.values import frozen
from stackup.stackfile.environment import Environment
from stackup.stackfile.gitaddress import is_remote
from stackup.stackfile.problems import Problems
from stackup.stackfile.request import LoadRequest
from stackup.stackfile.sources import Sources

# Compose Specification, in order of preference; the override's spelling need not match the main file's.
NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
# stackup's own names count only where there is no Compose file; Haskell's tool uses the same name for another purpose.
OWN_NAMES = ("stack.yaml", "stack.yml")
_OURS = re.compile(r"^(services|include)[ \t]*:", re.MULTILINE)
_THEIRS = re.compile(r"^(resolver|snapshot|packages|extra-deps)[ \t]*:", re.MULTILINE)


@frozen
class Found:
    """``files`` are absolute paths, ``-`` or addresses. ``directory`` is the project directory.

    The project is named after ``called``: that is the directory too, but where the file is on another machine, the
    user's.
    """

    files: tuple[str, ...]
    directory: Path
    called: str


def named(request: LoadRequest, environment: Environment) -> tuple[str, ...]:
    """The files that the user names, absolute; empty when they are to be looked for."""
    names: tuple[str, ...] = request.files
    if not names:
        separator = environment.get("COMPOSE_PATH_SEPARATOR") or ":"
        names = tuple(name for name in (environment.get("COMPOSE_FILE") or "").split(separator) if name)
    return tuple(name if name == "-" or is_remote(name) else str(_absolute(request.cwd, name)) for name in names)


def working_directory(request: LoadRequest, files: tuple[str, ...]) -> Path:
    """--project-directory, else where the first file is, else where the user is."""
    if request.project_directory:
        return _absolute(request.cwd, request.project_directory)
    first = next((name for name in files if name != "-"), None)
    return Path(first).parent if first and not is_remote(first) else request.cwd


def _absolute(cwd: Path, name: str) -> Path:
    import os.path

    return Path(os.path.normpath(cwd / name))


def search(request: LoadRequest, sources: Sources, problems: Problems) -> Found:
    """Looks in the project directory (or where the user is) and upward. Raises StackFileError when nothing is there."""
    start = working_directory(request, ())
    for directory in (start, *start.parents):
        found = [name for name in NAMES if sources.exists(directory / name)]
        if not found:
            found = [
                name for name in OWN_NAMES if sources.exists(directory / name) and _is_ours(directory / name, sources)
            ]
        if not found:
            continue
        if len(found) > 1:
            problems.warn(None, f"{directory} holds {' and '.join(found)}; {found[0]} is used")
        overrides = OVERRIDES if found[0] in NAMES else tuple(name.replace(".", ".override.") for name in OWN_NAMES)
        extra = [name for name in overrides if sources.exists(directory / name)]
        if len(extra) > 1:
            problems.warn(None, f"{directory} holds {' and '.join(extra)}; {extra[0]} is used")
        files = tuple(str(directory / name) for name in (found[0], *extra[:1]))
        where = start if request.project_directory else directory
        return Found(files, where, where.name)
    raise StackFileError(
        f"cannot find a stack file: there is no {NAMES[0]} (or {', '.join(NAMES[1:])}) in {start} or above",
        hint="name the file with -f, or change to the directory that holds it",
    )


def _is_ours(path: Path, sources: Sources) -> bool:
    try:
        text = sources.read(path, "the stack file")
    except StackFileError:
        return False
    return bool(_OURS.search(text)) and not _THEIRS.search(text)
