"""How containers end: the status is found out, written to disk, and only then told."""

from __future__ import annotations

import json
import os
import signal
import time

from stackup.base import log
from stackup.linux import cgroups, pidfd
from stackup.runtime.launcher.container import Container, Life
from stackup.runtime.launcher.limiting import oom_kills

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stackup.linux.cgroups import Hierarchies


def decode(status: int | None) -> tuple[int | None, int]:
    """(exit status 0-255, signal) of a wait status; a signal n is status 128 + n."""
    if status is None:
        return None, 0
    code = os.waitstatus_to_exitcode(status)
    return (128 - code, -code) if code < 0 else (code, 0)


def end(container: Container, status: int | None, hierarchies: Hierarchies) -> dict[str, Any]:
    """Settles a container whose first process has gone; answers the event. The file is on disk before.

    ``let_go`` follows once the event has been told: what it closes takes the kernel milliseconds.
    """
    code, number = decode(status)
    oom = oom_kills(hierarchies, container.cgroup) > container.oom_baseline
    if not container.own_pids:
        kill_group(hierarchies, container.cgroup)
    container.life = Life.ENDED
    container.exit = {
        "id": container.id,
        "status": code,
        "signal": number,
        "oom": oom,
        "at_ns": time.time_ns(),
    }
    record = {"incarnation": container.incarnation, **{key: container.exit[key] for key in _KEPT}}
    write_exit_file(container.exit_file, json.dumps(record))
    return {"event": "exit", **container.exit}


def let_go(container: Container) -> None:
    """A socket pins the network namespace, and with it the links and their names."""
    container.close("dns_udp", "dns_tcp", "stdin")
    os.close(container.pidfd)
    container.pidfd = -1


_KEPT = ("status", "signal", "oom", "at_ns")


def forget_exit(path: str) -> None:
    """Before another start: a new file is renamed at once, but one that takes the place of another is first written
    out by ext4 (auto_da_alloc), and everybody waits for the disk."""
    try:
        os.unlink(path)
    except OSError:
        return


def write_exit_file(path: str, text: str) -> None:
    """Whole or absent. A state directory that is gone must not stop the launcher."""
    if not path:
        return
    temporary = f"{path}.tmp"
    try:
        fd = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError as error:
        log.note(f"cannot write {path}: {error}")


def kill_group(hierarchies: Hierarchies, group: str) -> None:
    """What a container without a pid namespace of its own leaves behind."""
    if not group:
        return
    for pid in cgroups.processes(hierarchies, group):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def observed_status(container: Container) -> int | None:
    """The wait status of a dead process that is not our child, where the kernel or its zombie still tells."""
    status = pidfd.exit_status(container.pidfd)
    if status is None and pidfd.start_time(container.pid) == container.start_time:
        status = pidfd.zombie_status(container.pid)
    return status
