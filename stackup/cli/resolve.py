"""Which project a command means, without reading YAML when somebody has read it before.

Whoever resolves a stack file properly leaves a note: project name, the files it came from (by time, size and inode),
the files whose appearance would change the answer, and hashes of the variables that were used. As long as all of that
still holds, the name does too. Notes are a cache: deleting them costs time, nothing else.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackup.base.errors import StackFileError, UsageError
from stackup.base.files import write_atomic
from stackup.base.names import is_project_name, normalize_project_name
from stackup.cli import peek

if TYPE_CHECKING:
    from stackup.cli.session import Session
    from stackup.stackfile import Loaded, LoadRequest, Notice

NOTE_VERSION = 1


def project_name(session: Session) -> str:
    """Raises UsageError for a name that is none, StackFileError when the file has to be read and is wrong."""
    given = session.options.project_name or session.environment.get("COMPOSE_PROJECT_NAME", "")
    if given:
        if not is_project_name(given):
            source = "given with -p" if session.options.project_name else "of COMPOSE_PROJECT_NAME in the environment"
            raise UsageError(
                f"cannot use project name {given!r} {source}: it must consist of a-z, 0-9, - and _",
                hint=f"for example: -p {normalize_project_name(given) or 'demo'}",
            )
        return given
    note = _read_note(session) if session.stdin is None else None
    if note and _holds(note, session.environment):
        return str(note["project"])
    if note is None and not session.options.project_directory and not session.options.env_file:
        seen = peek.project_name(session.cwd, session.options.file, session.environment)
        if seen is not None:
            return seen
    try:
        loaded = _load(session, run=False)
    except StackFileError as error:
        if note and not error.hint:
            error.hint = f"the project can still be addressed by name: stackup -p {note['project']} ..."
        raise
    return loaded.stack.name


def service_names(session: Session) -> set[str]:
    """All services of the stack file, those that no active profile selects too. Raises StackFileError."""
    stack = _load(session, run=False).stack
    return {*stack.services, *stack.disabled}


def read(session: Session, **switches: Any) -> Loaded:
    """Reads the stack file without a word; its warnings are in the answer, or in the StackFileError's ``notices``."""
    return _load(session, **switches)


def load(session: Session, **switches: Any) -> Loaded:
    """Reads the stack file and prints what it warns of. ``switches`` are those of ``stackfile.LoadRequest``."""
    loaded = _load(session, **switches)
    for warning in loaded.warnings:
        session.console.warn(_words(warning))
    return loaded


def load_again(session: Session) -> Loaded:
    """The same, where its warnings have been told by others."""
    return _load(session)


def _words(warning: Notice) -> str:
    from stackup.cli.report import place

    text = f"{place(warning.where)}: {warning.message}" if warning.where else warning.message
    return f"{text} ({warning.hint})" if warning.hint else text


def load_request(session: Session, **switches: Any) -> LoadRequest:
    from stackup.stackfile import LoadRequest

    options = session.options
    return LoadRequest(
        cwd=Path(session.cwd),
        files=options.file,
        project_directory=options.project_directory,
        project_name=options.project_name,
        env_files=options.env_file,
        profiles=options.profile,
        environment=dict(session.environment),
        stdin=session.stdin,
        **switches,
    )


def _load(session: Session, **switches: Any) -> Loaded:
    from stackup.stackfile import load as load_stack

    loaded = load_stack(load_request(session, **switches))
    if session.stdin is None and not session.looks_only:
        _write_note(session, loaded)
    return loaded


def _key(session: Session) -> str:
    """All of a command line and its environment that can lead to another file."""
    options = session.options
    compose = sorted(item for item in session.environment.items() if item[0].startswith("COMPOSE_"))
    return json.dumps(
        [session.cwd, options.file, options.project_directory, options.env_file, options.profile, compose]
    )


def _note_path(session: Session) -> Path:
    return session.layout.cache / "resolve" / f"{_digest(_key(session))}.json"


def _read_note(session: Session) -> dict[str, Any] | None:
    try:
        note = json.loads(_note_path(session).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(note, dict) or (note.get("version"), note.get("key")) != (NOTE_VERSION, _key(session)):
        return None
    return note


def _holds(note: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """True while every file is as it was, none has appeared, and the variables have their values."""
    return (
        all(_fingerprint(path) == mark for path, *mark in note["inputs"])
        and not any(os.path.lexists(path) for path in note["absent"])
        and all(_digest(environment.get(name)) == digest for name, digest in note["variables"].items())
    )


def _write_note(session: Session, loaded: Loaded) -> None:
    note = {
        "version": NOTE_VERSION,
        "key": _key(session),
        "project": loaded.stack.name,
        "inputs": [[item.path, item.mtime_ns, item.size, item.inode] for item in loaded.inputs],
        "absent": list(loaded.absent),
        "variables": {name: _digest(value) for name, value in loaded.variables.items()},
    }
    path = _note_path(session)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(path, json.dumps(note), mode=0o600)
    except OSError:
        return  # a cache that cannot be written is none


def _fingerprint(path: str) -> list[int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_mtime_ns, status.st_size, status.st_ino]


def _digest(value: str | None) -> str:
    """Tells whether a value has changed. Values may be secrets: a note holds no more of them than this. zlib, because
    hashlib loads OpenSSL, and a command that only asks is over in less time than that takes."""
    return "" if value is None else f"{zlib.crc32(value.encode('utf-8', 'surrogateescape')):08x}"
