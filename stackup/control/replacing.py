"""A launcher whose program was deleted (its virtual environment, an old release) cannot start a supervisor any more.

Whoever asks has a stackup that works: it ends that launcher and starts one of its own, which adopts the containers.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from stackup.base.names import project_cgroup
from stackup.base.paths import Layout
from stackup.runtime.cgroups import OWN_GROUP, processes

PROGRAM = "STACKUP_PROGRAM"  # in a launcher's environment: the interpreter that its supervisors run in
PATIENCE = 5.0  # seconds for a killed process to be gone


def is_deleted(layout: Layout, project: str) -> bool:
    """Whether the project has a launcher, and what it would start as a supervisor is not there any more."""
    found = [environment for _, name, environment in _own(layout, project) if name == "launcher"]
    return bool(found) and all(map(_is_gone, found))


def end(layout: Layout, project: str) -> None:
    """Kills the project's launcher and supervisor, and nothing else; containers run on."""
    fds = []
    for pid, _, _ in list(_own(layout, project)):
        with suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            fds.append(fd)
            if any(pid == other for other, _, _ in _own(layout, project)):  # it is still the process that was looked at
                signal.pidfd_send_signal(fd, signal.SIGKILL)
    for fd in fds:
        select.select([fd], [], [], PATIENCE)
        os.close(fd)


def stopped(layout: Layout, project: str) -> tuple[int, str] | None:
    """Pid and kind of a process of the project's own that somebody has stopped (SIGSTOP): it answers nobody."""
    return next(((pid, kind) for pid, kind, _ in _own(layout, project) if _state(pid) == "T"), None)


def waits_for_disk(layout: Layout, project: str) -> int:
    """Pid of the project's supervisor when it is in an uninterruptible sleep just now, else 0."""
    return next((pid for pid, kind, _ in _own(layout, project) if kind == "supervisor" and _state(pid) == "D"), 0)


def _state(pid: int) -> str:
    """Third field of /proc/PID/stat."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    return ""


def _own(layout: Layout, project: str) -> Iterator[tuple[int, str, dict[str, str]]]:
    """The project's own processes: pid, launcher or supervisor, environment; the launcher first."""
    for kind in ("launcher", "supervisor"):
        for pid in processes(f"{project_cgroup(project, layout.root)}/{OWN_GROUP}"):
            with suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if command.strip().endswith(f"stackup {kind} {project}"):
                    words = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="surrogateescape").split("\0")
                    yield pid, kind, dict(word.split("=", 1) for word in words if "=" in word)


def _is_gone(environment: dict[str, str]) -> bool:
    program, package = environment.get(PROGRAM, ""), environment.get("PYTHONPATH", "")
    missing = program and not os.path.exists(program)
    return bool(missing or (package and not os.path.exists(f"{package}/stackup/control/supervisor.py")))
