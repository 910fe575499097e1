"""The thin client: connects to a project's supervisor, or starts one. Standard library only, and little of it."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from array import array
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from stackup.base.errors import HostUnfit, StackupError
from stackup.base.paths import Layout, ProjectPaths
from stackup.base.values import changed
from stackup.base.version import VERSION
from stackup.control.protocol import MAX_FDS, Request
from stackup.control.resuming import GONE_ON, RESTARTING, Progress

START_TIMEOUT = 30.0  # seconds until a freshly started launcher must accept connections
LEAVE_PATIENCE = 5.0  # seconds that a command waits for a supervisor and launcher to be gone
FAULTS = "STACKUP_FAULTS"  # see engine.faults; for tests
RETRIES = 3  # how often a request is repeated when the supervisor restarts itself, or goes away, before answering
LOOK_EVERY = 3.0  # seconds without an answer until it is looked whether anybody can give one
LONG = 10.0  # seconds after which it counts as having worked for a while


class SupervisorLost(StackupError):
    """The connection ended in the middle of an answer. The project itself runs on."""

    kind = "supervisor-lost"


def connect(layout: Layout, project: str) -> Client | None:
    """A connection to the project's supervisor; None when neither it nor its launcher runs."""
    sock = _connect(layout.project(project))
    return Client(layout, project, sock) if sock else None


def ensure(layout: Layout, project: str) -> Client:
    """A connection to the project's supervisor, which is started (with its launcher) where it does not run."""
    paths = layout.project(project)
    sock = _connect(paths)
    if sock is None:
        sock = _start(layout, project, paths)
    return Client(layout, project, sock)


def supervisor_argv(project: str) -> list[str]:
    """The command that a launcher starts as its supervisor; ``ps`` shows ``stackup supervisor PROJECT`` in it."""
    return [sys.executable, "-P", "-m", "stackup", "supervisor", project]


def supervisor_environment(layout: Layout) -> dict[str, str]:
    """The whole environment of launcher and supervisor: nothing of the user's, so that no request depends on it."""
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    env["STACKUP_PROGRAM"] = sys.executable  # see replacing
    env["PYDANTIC_DISABLE_PLUGINS"] = "true"  # looking for some reads the metadata of every package that is installed
    if layout.root:
        env["STACKUP_ROOT"] = layout.root
    if FAULTS in os.environ:
        env[FAULTS] = os.environ[FAULTS]
    return env


def _connect(paths: ProjectPaths) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _connect_path(sock, paths.control_socket)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except PermissionError as error:
        sock.close()
        raise HostUnfit(
            f"cannot reach the supervisor at {paths.control_socket}: {error.strerror}", hint="run stackup as root"
        ) from error
    return sock


def _connect_path(sock: socket.socket, path: Path) -> None:
    """Through the directory's descriptor: a socket path longer than 107 bytes cannot be named directly."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


def _start(layout: Layout, project: str, paths: ProjectPaths) -> socket.socket:
    from stackup.runtime.boot import spawn_launcher  # only a cold start pays for it

    layout.claim()
    deadline = time.monotonic() + START_TIMEOUT
    pid = ended = 0
    while time.monotonic() < deadline and ended < RETRIES:
        if not pid:
            # 0 again: there is a launcher, whose socket is about to be there, or which is about to be gone.
            try:
                pid = spawn_launcher(
                    paths, project, layout.root, supervisor_argv(project), environment=supervisor_environment(layout)
                )
            except OSError as error:
                raise HostUnfit(
                    f"cannot start the supervisor of project {project}: {error.filename}: {error.strerror}",
                    hint="state is kept below the directory that STACKUP_ROOT names (default: /var/lib and /run)",
                ) from error
        sock = _connect(paths)
        if sock is not None:
            return sock
        if _ended(pid):
            pid, ended = 0, ended + 1
        time.sleep(0.002)
    raise HostUnfit(
        f"cannot start the supervisor of project {project}: its launcher does not answer",
        hint=f"see {paths.launcher_log}",
    )


def _ended(pid: int) -> bool:
    if not pid:
        return False
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1


class Client:
    """One request on one connection. Not for threads."""

    def __init__(self, layout: Layout, project: str, sock: socket.socket) -> None:
        self.layout = layout
        self.project = project
        self.socket = sock
        self.received: list[int] = []
        self._cancelled = ""
        self._asked = False  # the request is out, and messages may follow
        self._pending: list[dict[str, Any]] = []  # those that came before; a signal may come between any two lines here
        self._leaving: list[int] = []  # pidfds of a supervisor and a launcher that are about to end

    def fileno(self) -> int:
        return self.socket.fileno()

    def close(self) -> None:
        self.socket.close()

    def take_fds(self) -> list[int]:
        """Descriptors that came beside events so far; the caller owns them from now on."""
        fds, self.received = self.received, []
        return fds

    def cancel(self, how: str) -> None:
        """Asks for the end of the running request: ``graceful`` or ``kill``."""
        self._cancelled = how
        self.send({"cancel": how})

    def send(self, message: dict[str, Any]) -> None:
        """A message beside the running request, e.g. a new window size for ``exec``."""
        if not self._asked:
            self._pending.append(message)
            return
        try:
            self._send(message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise SupervisorLost(f"cannot reach the supervisor of project {self.project}: connection lost") from error

    def _send(self, message: dict[str, Any]) -> None:
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def request(
        self, verb: str, args: dict[str, Any], *, files: dict[str, Any] | None = None, fds: Sequence[int] = ()
    ) -> Iterator[dict[str, Any]]:
        """Sends the request and yields its events; the last one is ``done``.

        Raises SupervisorLost when the connection ends before it, and the request is not one to be repeated
        (``resuming`` decides): most go on with the supervisor's successor.
        """
        umask = os.umask(0o022)
        os.umask(umask)
        request = Request(
            verb=verb,
            args=args,
            files=files or {},
            cwd=os.getcwd(),
            env=dict(os.environ),
            argv=tuple(sys.argv),
            umask=umask,
            version=VERSION,
        )
        progress = Progress(verb, args)
        attempt = 0
        while True:
            began = time.monotonic()
            if (yield from self._attempt(request, fds, progress)):
                self._see_off()
                return
            again = progress.again()
            if again is None or (progress.begun and (fds or self._cancelled)):
                raise self._cut_short(verb)
            attempt = 1 if time.monotonic() - began > LONG else attempt + 1
            if attempt > RETRIES:
                raise SupervisorLost(
                    f"cannot finish {verb}: the supervisor of project {self.project} went away",
                    hint=f"see {self.layout.project(self.project).supervisor_log}; the containers run on",
                )
            request = changed(request, args=again)
            if progress.shown:
                yield {"event": "notice", "text": GONE_ON}
            self.socket.close()
            self._replace_deleted()
            self.socket = ensure(self.layout, self.project).socket

    def _cut_short(self, verb: str) -> SupervisorLost:
        begin = f"cannot finish {verb}: the supervisor of project {self.project} went away in the middle of it"
        if verb == "exec":
            return SupervisorLost(
                f"{begin}; the command runs on in the container, and how it ends will not be known",
                hint=f"before you repeat it, look whether it still runs: stackup -p {self.project} top",
            )
        return SupervisorLost(
            begin,
            hint="the containers run on, and another supervisor takes over; before you repeat it, look: "
            f"`stackup -p {self.project} history` says what was begun, `stackup plan` what is left",
        )

    def _attempt(
        self, request: Request, fds: Sequence[int], progress: Progress
    ) -> Generator[dict[str, Any], None, bool]:
        """Yields the events of one supervisor; whether it has answered to the end."""
        self._asked = False
        self._pending = [{"cancel": self._cancelled}] if self._cancelled else []
        try:
            self._send_request(request.encode(), fds)
            self._asked = True
            for message in self._pending:
                self._send(message)
            return (yield from self._events(progress))
        except (ConnectionResetError, BrokenPipeError):
            return False

    def _replace_deleted(self) -> bool:
        """Whether the project's launcher was ended because what it would start as a supervisor was deleted."""
        from stackup.control import replacing  # seldom needed

        if not replacing.is_deleted(self.layout, self.project):
            return False
        replacing.end(self.layout, self.project)
        return True

    def _see_off(self) -> None:
        """Waits for processes that said they were leaving, so that nothing runs when the command returns."""
        deadline = time.monotonic() + LEAVE_PATIENCE
        for fd in self._leaving:
            select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
            os.close(fd)
        self._leaving.clear()

    def _send_request(self, line: bytes, fds: Sequence[int]) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        sent = self.socket.sendmsg([line], ancillary)
        if sent < len(line):
            self.socket.sendall(line[sent:])

    def _wait(self) -> Iterator[dict[str, Any]]:
        """Until there is something to read. Raises HostUnfit when it will not come, for nobody can run who would write
        it: seen twice, so that a moment of it is forgiven. What waits for a disk is told of, and waited for."""
        before, hung, told = None, 0, False
        while not select.select([self.socket], [], [], LOOK_EVERY)[0]:
            from stackup.control import replacing  # only for answers that take their time

            found = replacing.stopped(self.layout, self.project)
            if found is not None and found == before:
                pid, kind = found
                raise HostUnfit(
                    f"cannot get an answer of project {self.project}: its {kind} (process {pid}) was stopped (SIGSTOP)",
                    hint=f"let it go on: kill -CONT {pid}",
                )
            before = found
            was, hung = hung, replacing.waits_for_disk(self.layout, self.project)
            if hung and hung == was and not told:
                told = True
                text = (
                    f"the supervisor of project {self.project} (process {hung}) waits for a disk that does not answer"
                )
                yield {"event": "notice", "text": f"{text}; it goes on when the disk does, and the containers run on"}

    def _events(self, progress: Progress) -> Generator[dict[str, Any], None, bool]:
        """Yields events until the last one; returns whether that has come."""
        buffer = bytearray()
        while True:
            yield from self._wait()
            data, ancillary, _, _ = self.socket.recvmsg(1 << 16, socket.CMSG_SPACE(MAX_FDS * 4))
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds = array("i")
                    fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                    self.received.extend(fds)
            if not data:
                return False
            buffer += data
            *lines, rest = buffer.split(b"\n")
            buffer = bytearray(rest)
            for line in lines:
                event = json.loads(line)
                if event["event"] == RESTARTING or (event["event"] == "error" and self._failed_for_its_age(progress)):
                    return False
                if event["event"] == "leaving":
                    self._leaving = [fd for pid in event["pids"] if (fd := _pidfd(pid)) >= 0]
                    continue
                shown = progress.take(event)
                if shown is not None:
                    yield shown
                if event["event"] == "done":
                    return True

    def _failed_for_its_age(self, progress: Progress) -> bool:
        """The first that comes is an error, and the supervisor's program was deleted: a new one may do better."""
        return not progress.shown and progress.again() is not None and self._replace_deleted()
