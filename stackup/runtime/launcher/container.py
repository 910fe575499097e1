"""What the launcher remembers of a process that it started or adopted, and the life it leads."""

from __future__ import annotations

import os
from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any


class Life(Enum):
    SETTING_UP = "setting up"  # forked, its command does not run yet
    RUNNING = "running"
    ENDED = "ended"  # known until its output is drained


class Child:
    """An exec, and what a container has in common with it. ``tag`` is the request that waits for its start;
    ``quiet``: only for its end, or for why it could not begin."""

    __slots__ = ("fault", "fds", "id", "life", "pid", "pidfd", "quiet", "ready", "sync", "tag")

    def __init__(self, id_: str, pid: int, pidfd: int, sync: Socket | None, tag: int) -> None:
        self.id = id_
        self.pid = pid
        self.pidfd = pidfd
        self.sync = sync
        self.tag = tag
        self.life = Life.SETTING_UP if sync else Life.RUNNING
        self.ready = False
        self.quiet = False
        self.fault: dict[str, Any] | None = None
        self.fds: dict[str, int] = {}

    def take(self, message: dict[str, Any], fds: list[int]) -> None:
        """A packet of the child: descriptors by name, readiness, or what went wrong."""
        if "fds" in message:
            self.fds.update(zip(message["fds"], fds, strict=True))
        elif "fault" in message:
            self.fault = message["fault"]
        else:
            self.ready = True

    def close(self, *names: str) -> None:
        """Closes descriptors by name; without names all, and the pidfd."""
        for name in names or tuple(self.fds):
            if name in self.fds:
                os.close(self.fds.pop(name))
        if not names and self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


class Container(Child):
    """``exit`` is set when it has ended: ``status`` None means that nobody could observe it."""

    __slots__ = (
        "adopted",
        "cgroup",
        "exit",
        "exit_file",
        "holds",
        "incarnation",
        "join",
        "namespaces",
        "oom_baseline",
        "own_pids",
        "start_time",
        "v2_directory",
    )

    def __init__(self, launch: dict[str, Any], pid: int, pidfd: int, sync: Socket | None, tag: int) -> None:
        super().__init__(launch["container_id"], pid, pidfd, sync, tag)
        self.incarnation: int = launch["incarnation"]
        self.exit_file: str = launch["exit_file"]
        self.cgroup: str = launch["cgroup"]
        self.start_time = 0
        self.holds: list[int] = []
        self.join: list[tuple[str, str]] = []
        self.v2_directory = ""
        self.namespaces = 0
        self.own_pids = True
        self.oom_baseline = 0
        self.adopted = sync is None
        self.exit: dict[str, Any] | None = None

    def release(self) -> None:
        """Output is drained: nothing is held any more."""
        for fd in self.holds:
            os.close(fd)
        self.holds = []
        self.close()

    def listed(self) -> tuple[dict[str, Any], list[int]]:
        """As ``list`` and ``adopt`` answer it."""
        named = dict(self.fds)
        if self.life is Life.RUNNING:
            named = {"pidfd": self.pidfd, **named}
        about = {
            "id": self.id,
            "incarnation": self.incarnation,
            "pid": self.pid,
            "start_time": self.start_time,
            "exit": self.exit,
            "fds": list(named),
        }
        return about, list(named.values())
