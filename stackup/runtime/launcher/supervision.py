"""Keeps the project's supervisor alive: starts it, and again when it dies, at once, then every second at most."""

from __future__ import annotations

import os
import time
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_SEQPACKET, socketpair
from _socket import socket as Listener
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
NOT_OPENED = 3  # the exit code of a supervisor that has told its clients itself what is wrong
HOPELESS = 3  # failures in a row


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
        self._broken = 0
        self._on_hopeless: Callable[[], None] | None = None
        self._home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self.group = group
        self.pid = 0
        self.wanted = True

    def attach(
        self,
        after: Callable[[float, Callable[[], None]], None],
        on_channel: Callable[[Socket], None],
        on_hopeless: Callable[[], None],
    ) -> None:
        """``after`` is the loop's timer; ``on_channel`` is handed our end of the socket to each new supervisor;
        ``on_hopeless`` is told when one after the other fails by itself, as in a broken installation."""
        self._after = after
        self._on_channel = on_channel
        self._on_hopeless = on_hopeless

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
        self._broken = self._broken + 1 if code > 0 and code != NOT_OPENED and lived < STABLE_AFTER else 0
        if self._broken >= HOPELESS:
            refuse(self._control_fd, self._argv[-1], f"exit code {code}", self._log)
            if self._on_hopeless:
                self._on_hopeless()
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


def refuse(control_fd: int, project: str, how: str, log_path: str) -> None:
    """Answers the clients that wait for a supervisor which cannot be had, in the protocol's words."""
    import json  # at hand by then: only a launcher that has come so far has to do it

    message = f"cannot supervise project {project}: its supervisor ends as soon as it starts ({how}): "
    error: dict[str, object] = {"kind": "host-unfit", "message": message + _last_line(log_path)}
    error.update(hint=f"see {log_path}", where=None, snippet="", details=[])
    events = ({"event": "error", "error": error}, {"event": "done", "exit": 1})
    answer = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    listener = Listener(fileno=os.dup(control_fd))
    listener.setblocking(False)  # the supervisor has it so, too
    try:
        while True:
            fd, _ = listener._accept()  # type: ignore[attr-defined]
            client = Listener(fileno=fd)
            client.setblocking(False)
            try:
                client.recv(1 << 20)
                client.send(answer)
            except OSError:  # it has gone, or is about to ask: then it connects again
                pass
            finally:
                client.close()
    except OSError:  # nobody waits
        return
    finally:
        listener.close()


def _last_line(path: str) -> str:
    lines = cgroups.read_file(path).splitlines()
    return lines[-1] if lines else "it says nothing"


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
