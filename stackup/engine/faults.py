"""Fault injection, for tests alone: kills stackup's own processes at an instant that a test has named.

Nothing happens unless the environment variable STACKUP_FAULTS names a file. While that file is there, every instant is
appended to ``FILE.seen``, and at each that it names, the processes that it names for it are killed. Before that the
instant is taken out of the file, so that whoever comes after gets further, and the file is removed with the last one::

    {"after start container shop-web-1": ["launcher", "supervisor"]}

A file that names none from the beginning stays.
"""

from __future__ import annotations

import json
import os
import signal

VARIABLE = "STACKUP_FAULTS"
_FILE = os.environ.get(VARIABLE, "")


def instant(name: str) -> None:
    """``name``: before or after an action of a plan, or the writing of a record."""
    if not _FILE:
        return
    try:
        with open(_FILE, encoding="utf-8") as file:
            wanted = json.load(file)
    except FileNotFoundError:
        return
    with open(f"{_FILE}.seen", "a", encoding="utf-8") as seen:
        seen.write(name + "\n")
    if name in wanted:
        victims = wanted.pop(name)
        _write(wanted)
        if "launcher" in victims:
            os.kill(os.getppid(), signal.SIGKILL)
        if "supervisor" in victims:
            os.kill(os.getpid(), signal.SIGKILL)


def _write(wanted: dict[str, list[str]]) -> None:
    if not wanted:
        os.unlink(_FILE)
        return
    part = f"{_FILE}.part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump(wanted, file)
    os.rename(part, _FILE)
