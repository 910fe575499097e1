"""The project's name of a stack file that nobody has resolved yet, without a YAML parser, where that is certain.

Reading a file properly loads pydantic and a YAML parser, and the supervisor will do that anyway: the command line only
needs to know whom to ask. Whatever is not the plain case (a name with variables, several files, COMPOSE_ settings) is
answered with None, and the file is read properly.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping

from stackup.base.names import normalize_project_name

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_NAME = re.compile(r"""^name[ \t]*:[ \t]*(?:(['"]?)([a-z0-9][a-z0-9_-]*)\1)[ \t]*(?:#.*)?$""", re.MULTILINE)
_ANY_NAME = re.compile(r"""^(?:['"]?name['"]?[ \t]*:|\?|<<|\{|!|&|\*|---[ \t]*\S)""", re.MULTILINE)
_LIMIT = 1 << 20  # bytes; a larger file is read properly


def project_name(cwd: str, files: tuple[str, ...], environment: Mapping[str, str]) -> str | None:
    """``files`` are the ``-f`` options. None where only a proper reading can tell."""
    if len(files) > 1 or "-" in files or any(name.startswith("COMPOSE_") for name in environment):
        return None
    path = os.path.normpath(os.path.join(cwd, files[0])) if files else _search(cwd)
    if path is None:
        return None
    directory = os.path.dirname(path)
    if any(_sets_compose(os.path.join(place, ".env")) for place in {cwd, directory}):
        return None
    if not files and any(".override." in entry for entry in os.listdir(directory)):
        return None
    return _name_in(path, directory)


def _search(cwd: str) -> str | None:
    directory = cwd
    while True:
        found = [name for name in NAMES if os.path.exists(os.path.join(directory, name))]
        if found:
            return os.path.join(directory, found[0])
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def _sets_compose(path: str) -> bool:
    text = _read(path)
    return text is None or "COMPOSE_" in text


def _name_in(path: str, directory: str) -> str | None:
    text = _read(path)
    if not text:
        return None
    mentions = len(_ANY_NAME.findall(text))
    plain = _NAME.findall(text)
    if mentions != len(plain) or len(plain) > 1:
        return None
    return plain[0][1] if plain else normalize_project_name(os.path.basename(directory)) or None


def _read(path: str) -> str | None:
    """Empty for a file that is not there; None for one that cannot be judged here."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe can be read once only, and may keep us for ever
            return None
        with open(path, encoding="utf-8") as file:
            text = file.read(_LIMIT + 1)
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError):
        return None
    return None if len(text) > _LIMIT else text
