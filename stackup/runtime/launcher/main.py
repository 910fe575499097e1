"""Boot of the launcher. ``runtime.boot`` starts it isolated (-I -S -E) with ``Settings`` as arguments.

The supervisor is started before the rest of the launcher is imported: its own imports take ten times as long as ours.
"""

from __future__ import annotations

import os
import sys
from _socket import socket as Socket

from stackup.linux import cgroups, process
from stackup.linux.cgroups import Hierarchies
from stackup.runtime.launcher.supervision import Supervision

# Lock, control socket, channel: the numbers that ``runtime.boot`` hands them over as.
LOCK_FD = 3


class Settings:
    """The argument vector after the boot code, in this order; ``supervisor`` takes the rest. -1: no such descriptor."""

    __slots__ = (
        "cgroup",
        "channel_fd",
        "control_fd",
        "control_path",
        "lock_path",
        "log",
        "mount_point",
        "project",
        "supervisor",
    )

    def __init__(self, argv: list[str]) -> None:
        self.project, self.cgroup, self.mount_point, self.control_path, self.lock_path, self.log = argv[:6]
        self.control_fd, self.channel_fd = int(argv[6]), int(argv[7])
        self.supervisor = argv[8:]


def _close_others(settings: Settings) -> None:
    """Whatever the command that started us had inherited, it is not ours to keep open."""
    ours = {settings.control_fd, settings.channel_fd, *((LOCK_FD,) if settings.supervisor else ())}
    for fd in range(LOCK_FD, LOCK_FD + 3):
        if fd not in ours:
            os.closerange(fd, fd + 1)
    process.close_from(LOCK_FD + 3)


def main() -> None:
    """Never returns."""
    settings = Settings(sys.argv[2:])
    _close_others(settings)
    os.chdir("/")
    os.umask(0o022)
    process.set_dumpable(False)
    process.reset_internal_signals()
    process.set_title(f"stackup launcher {settings.project}")
    hierarchies = Hierarchies.of_this_host()
    supervision = None
    if settings.supervisor:
        supervision = Supervision(
            settings.supervisor,
            control_fd=settings.control_fd,
            log=settings.log,
            group=f"{settings.cgroup}/_stackup",
            hierarchies=hierarchies,
        )
        cgroups.make_everywhere(hierarchies, supervision.group)
        channel = supervision.start()
    else:
        channel = Socket(fileno=settings.channel_fd)
        channel.setblocking(False)

    from stackup.runtime.launcher.core import Launcher  # after the supervisor's start: see above

    process.raise_open_files()
    Launcher(settings, hierarchies, supervision).run(channel)
    os._exit(0)
