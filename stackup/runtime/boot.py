"""Starts a launcher: ``spawn_launcher``. Standard library only and quick to import: the command line calls it.

The launcher's lock and its control socket are made here and handed over, so that a command can connect at once (its
request waits in the backlog while launcher and supervisor boot) and so that two commands that race start one launcher.

Defence against CVE-2019-5736, first half: the launcher runs from a detached read-only clone of the interpreter's file,
so that no process that gets hold of /proc/PID/exe can write to the host's Python. (Second half, in the launcher: it is
not dumpable.) See tests/security.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

    from stackup.base.paths import ProjectPaths


def spawn_launcher(
    paths: ProjectPaths,
    project: str,
    root: str,
    supervisor_argv: Sequence[str] | None,
    channel: socket | None = None,
    control_fd: int | None = None,
) -> int:
    """Starts ``stackup launcher PROJECT`` and answers its pid; 0 when the project's launcher already lives.

    ``root`` is the state root as in ``Layout.root``. With ``supervisor_argv`` None it is a private launcher (for
    builds): ``channel`` is its only client, and it ends with it, killing what it started. ``control_fd``: a listening
    control socket that outlived the launcher before, to be used instead of a new one.
    """
    raise NotImplementedError(sys.argv, os.environ)
