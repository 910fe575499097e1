"""How a transfer is started: in a process of its own (``images.worker``), so that who waits for it is not held up."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackup.base.errors import ImageError
from stackup.images.registry.caller import relevant

LINE_LIMIT = 16 << 20  # bytes of one event
MODULE = "stackup.images.worker"


def command(module: str = MODULE) -> list[str]:
    """To be run by this process itself: the worker ends with it."""
    return [sys.executable, "-P", "-m", module, str(os.getpid())]


def environment(root: str) -> dict[str, str]:
    """Of the process itself; what of the user's counts is in the request. ``root``: see ``base.paths.Layout``."""
    found = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return {**found, "STACKUP_ROOT": root} if root else found


def silent_end(task: str, code: int) -> ImageError:
    """Of a worker that has ended without a word. ``code`` as ``subprocess`` has it; ``task``: what it was to do."""
    if code >= 0:
        return ImageError(f"cannot {task}: the worker ended with code {code}")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "an unknown signal"
    text = f"cannot {task}: its worker process was killed (signal {-code}, {name})"
    if code == -signal.SIGKILL:
        return ImageError(text, hint="the kernel does so when memory runs out (dmesg would say so); run it again")
    return ImageError(text)


def pull_request(reference: str, user: Mapping[str, str], platform: str = "", *, quick: bool = False) -> dict[str, Any]:
    """``user``: the environment of whoever asked. ``quick``: see ``pulling.pull``."""
    about = {"verb": "pull", "reference": reference, "platform": platform, "quick": quick}
    return {**about, "environment": relevant(user)}


def publish_request(reference: str, user: Mapping[str, str], files: list[dict[str, Any]]) -> dict[str, Any]:
    """``files``: ``artifacts.File`` as JSON."""
    return {"verb": "publish", "reference": reference, "files": files, "environment": relevant(user)}


def push_request(reference: str, user: Mapping[str, str]) -> dict[str, Any]:
    return {"verb": "push", "reference": reference, "environment": relevant(user)}
