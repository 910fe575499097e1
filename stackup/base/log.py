"""Lines for the logs of launcher and supervisor, which are their standard error. Never raises: the disk may be full."""

from __future__ import annotations

import os


def note(text: str) -> None:
    """One write, unbuffered."""
    try:
        os.write(2, text.encode("utf-8", "surrogateescape") + b"\n")
    except OSError:
        return
