"""Fault injection, for tests alone: kills stackup's own processes at an instant that a test has named.

Nothing happens unless the environment variable STACKUP_FAULTS names a file. While that file is there, every instant is
appended to ``FILE.seen``, and the one that it names is when the processes it names are killed. The file is removed
before that, so that whoever comes after lives::

    {"kill": ["launcher", "supervisor"], "at": "after start container shop-web-1"}
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
    if wanted.get("at") == name:
        os.unlink(_FILE)
        if "launcher" in wanted["kill"]:
            os.kill(os.getppid(), signal.SIGKILL)
        if "supervisor" in wanted["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
