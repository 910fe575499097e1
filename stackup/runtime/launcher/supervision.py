"""Keeps the project's supervisor alive: starts it, and again when it dies, at once, then every second at most."""

from __future__ import annotations

import os
import time
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_SEQPACKET, socketpair
from fcntl import F_DUPFD, fcntl

from stackup.base import log
from stackup.linux import cgroups, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from collections.abc import Callable

    from stackup.linux.cgroups import Hierarchies

LAUNCHER_FD, CONTROL_FD = 3, 4
MAX_DELAY = 1.0
STABLE_AFTER = 5.0
MAX_LOG_BYTES = 1 << 20


class Supervision:
    """Imports little: it is at work before the rest of the launcher is loaded. Then ``attach`` tells it the rest."""

    def __init__(self, argv: list[str], *, control_fd: int, log: str, group: str, hierarchies: Hierarchies) -> None:
        self._argv = argv
        self._control_fd = control_fd
        self._log = log
        self._hierarchies = hierarchies
        self._after: Callable[[float, Callable[[], None]], None] | None = None
        self._on_channel: Callable[[Socket], None] | None = None
        self._delay = 0.0
        self._started = 0.0
        self._failures = 0
        self._home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self.group = group
        self.pid = 0
        self.wanted = True

    def attach(self, after: Callable[[float, Callable[[], None]], None], on_channel: Callable[[Socket], None]) -> None:
        """``after`` is the loop's timer; ``on_channel`` is handed our end of the socket to each new supervisor."""
        self._after = after
        self._on_channel = on_channel

    def _again(self) -> None:
        if self.wanted and not self.pid and self._on_channel:
            self._on_channel(self.start())

    def start(self) -> Socket:
        """Forks it; answers our end of its socket."""
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)
        directory = f"{self._hierarchies.v2}/{self.group}"
        cgroup_fd = -1
        if self._hierarchies.v2 and os.path.isdir(directory):
            cgroup_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            pid, pidfd = process.clone3(0, cgroup_fd)
        except OSError:
            if cgroup_fd < 0:
                raise
            pid, pidfd = process.clone3(0)
        if pid == 0:
            self._become(theirs.fileno())
        os.close(pidfd)
        theirs.close()
        if cgroup_fd >= 0:
            os.close(cgroup_fd)
        self.pid, self._started = pid, time.monotonic()
        ours.setblocking(False)
        return ours

    def ended(self, status: int) -> None:
        """It has been reaped: another one, unless it was told to go."""
        self.pid = 0
        if not self.wanted:
            return
        code = os.waitstatus_to_exitcode(status)
        lived = time.monotonic() - self._started
        self._failures = 0 if lived >= STABLE_AFTER else self._failures + 1
        if self._failures < 10 or self._failures % 100 == 0:  # a log that does not grow for ever
            log.note(f"supervisor ended with {code} after {lived:.1f} s; starting it again")
        self._delay = 0.0 if lived >= STABLE_AFTER else min(max(self._delay * 2, 0.05), MAX_DELAY)
        if self._after:
            self._after(self._delay, self._again)

    def _become(self, channel: int) -> None:
        try:
            process.default_signals()
            process.restore_open_files()
            cgroups.move_self(self._hierarchies, self.group, v2=False)
            process.setns(self._home, process.CLONE_NEWNS)
            os.setsid()
            null = os.open("/dev/null", os.O_RDONLY)
            log = _open_log(self._log)
            # Above all numbers that are about to be assigned.
            moved = [_high(fd) for fd in (null, log, log, channel, self._control_fd)]
            for number, fd in enumerate(moved):
                os.dup2(fd, number)
            process.close_from(len(moved))
            env = {**os.environ, "STACKUP_LAUNCHER_FD": str(LAUNCHER_FD), "STACKUP_CONTROL_FD": str(CONTROL_FD)}
            os.execvpe(self._argv[0], self._argv, env)
        except BaseException as error:  # noqa: BLE001  (this process must become the supervisor or end)
            os.write(2, f"cannot start the supervisor {self._argv[0]}: {error}\n".encode())
        finally:
            os._exit(127)


def _high(fd: int) -> int:
    return fcntl(fd, F_DUPFD, 100)


def _open_log(path: str) -> int:
    """Appends; starts over when it has grown (one old one is kept)."""
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
    try:
        fd = os.open(path, flags, 0o600)
        if os.fstat(fd).st_size > MAX_LOG_BYTES:
            os.close(fd)
            os.replace(path, f"{path}.1")
            fd = os.open(path, flags, 0o600)
        return fd
    except OSError:
        return os.open("/dev/null", os.O_WRONLY)
