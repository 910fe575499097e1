"""The variables of a project: the caller's environment, then ``.env`` files; and which of them were used."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from stackup.base.errors import StackFileError, UsageError
from stackup.stackfile import dotenv
from stackup.stackfile.problems import Problems
from stackup.stackfile.sources import Sources

_TRUE = frozenset(("1", "t", "true", "y", "yes", "on"))


class Environment:
    """Layers of variables; the first that has a name wins. ``used`` is shared by all layers of one load."""

    def __init__(self, base: Mapping[str, str], used: dict[str, str | None] | None = None) -> None:
        self._base = base
        self._layers: list[Mapping[str, str]] = [base]
        self._files: list[Mapping[str, tuple[str, ...]]] = [{}]  # beside the layers: the files that hold each name
        self.used: dict[str, str | None] = {} if used is None else used

    def get(self, name: str) -> str | None:
        """The value, or None. Remembers that it was asked for."""
        if name not in self.used:
            self.used[name] = self._base.get(name)
        for layer in self._layers:
            if name in layer:
                return layer[name]
        return None

    def add(self, values: Mapping[str, str | None], files: Mapping[str, tuple[str, ...]] | None = None) -> None:
        """Values that count where no layer before has the name. ``files`` tells where each was read."""
        self._layers.append({name: value for name, value in values.items() if value is not None})
        self._files.append(files or {})

    def put(self, name: str, value: str) -> None:
        """A value that the loader decides (COMPOSE_PROJECT_NAME)."""
        self._layers.insert(0, {name: value})
        self._files.insert(0, {})

    def child(self) -> Environment:
        """For an included file: the same layers, to which its own env files are added."""
        child = Environment(self._base, self.used)
        child._layers = list(self._layers)
        child._files = list(self._files)
        return child

    def whence(self, name: str) -> list[tuple[str, tuple[str, ...]]]:
        """Every value of a name, the one that counts first, with the files it stands in (the newest first).

        A value without a file is that of the caller's environment, or of stackup itself.
        """
        layers = zip(self._layers, self._files, strict=True)
        return [(values[name], files.get(name, ())) for values, files in layers if name in values]

    def merged(self) -> dict[str, str]:
        result: dict[str, str] = {}
        for layer in reversed(self._layers):
            result.update(layer)
        return result


def home(environment: Environment) -> str:
    """What ``~`` means: the home of whoever typed the command, also under sudo."""
    caller = environment.get("SUDO_USER")
    if caller and os.geteuid() == 0:
        try:
            return pwd.getpwnam(caller).pw_dir
        except KeyError:
            pass
    return environment.get("HOME") or ""


def env_file_names(given: tuple[str, ...], environment: Environment) -> tuple[str, ...]:
    """``--env-file``, else COMPOSE_ENV_FILES; empty when the default ``.env`` is meant."""
    return given or tuple(
        item.strip() for item in (environment.get("COMPOSE_ENV_FILES") or "").split(",") if item.strip()
    )


def read_env_files(
    names: tuple[str, ...],
    cwd: Path,
    directory: Path,
    environment: Environment,
    sources: Sources,
    problems: Problems,
    *,
    option: str = "--env-file",
) -> None:
    """Adds the variables of the named files (later ones win), or of ``.env`` in ``directory`` when none is named.

    Raises UsageError when a named file is not there. ``option`` is what names them.
    """
    paths = [cwd / name for name in names]
    if not names:
        default = directory / ".env"
        if (environment.get("COMPOSE_DISABLE_ENV_FILE") or "").lower() in _TRUE or not sources.exists(default):
            return
        paths = [default]
    values: dict[str, str | None] = {}
    files: dict[str, tuple[str, ...]] = {}
    for path in paths:
        if not sources.exists(path):
            raise UsageError(f"cannot use the env file {names[paths.index(path)]} of {option}: {path} does not exist")
        found = _read(path, environment, values, sources, problems)
        values.update(found)
        files.update({name: (str(path), *files.get(name, ())) for name in found})
    environment.add(values, files)


def _read(
    path: Path, environment: Environment, known: Mapping[str, str | None], sources: Sources, problems: Problems
) -> Mapping[str, str | None]:
    def lookup(name: str) -> str | None:
        value = environment.get(name)
        return known.get(name) if value is None else value

    try:
        text = sources.read(path, "the env file")
    except StackFileError as error:
        problems.append(error)
        return {}
    return dotenv.read(path, text, lookup, problems)
