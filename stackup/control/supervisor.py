"""The supervisor process: ``stackup supervisor PROJECT``, started by its launcher and by nobody else.

It owns the project's lock for life, serves the control socket, and ends, with its launcher, when nothing is left to
watch. Killed at any instant, its successor takes over what it finds.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import shlex
import signal
import socket
import sqlite3
import sys
import time
import traceback
from contextlib import suppress

from stackup.base import log
from stackup.base.errors import Bug, HostUnfit, StackupError
from stackup.base.files import try_lock
from stackup.base.paths import Layout
from stackup.base.version import VERSION
from stackup.control.client import supervisor_argv
from stackup.control.protocol import PROTOCOL, Request
from stackup.control.pulse import WatchedSelector
from stackup.control.resuming import BEGUN, RESTARTING
from stackup.control.server import Connection, Server
from stackup.engine.operations import Asked
from stackup.engine.project import NotOpened, Project
from stackup.runtime.client import LauncherLost
from stackup.runtime.launcher.supervision import NOT_OPENED

REFUSING = 0.3  # seconds in which those who wait for a project that cannot be opened are told so
WINDING_UP = 0.5  # seconds for what is cancelled at the end
LOCK_PATIENCE = 5.0  # seconds for a predecessor that is being killed to let go of the lock


def main(project: str) -> int:
    """Runs until the project needs no supervisor. Descriptors come from the launcher by environment variables."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What was imported lives as long as the process: looking through it again and again for garbage is a third of the
    # time that a start takes.
    gc.freeze()
    gc.enable()
    # A thread that computes (reading a stack file) would hold up the loop for the default 5 ms at each system call.
    sys.setswitchinterval(0.0005)
    _raise_open_files()
    layout = Layout.from_environment()
    layout.claim()
    channel = socket.socket(fileno=int(os.environ.pop("STACKUP_LAUNCHER_FD")))
    listener = socket.socket(fileno=int(os.environ.pop("STACKUP_CONTROL_FD")))
    for sock in (channel, listener):
        sock.set_inheritable(False)
    _take_lock(layout, project)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(WatchedSelector())) as runner:
        return runner.run(Supervisor(project, layout, channel, listener).run())


def _raise_open_files() -> None:
    """A container needs about ten descriptors; the usual soft limit of 1024 is for programs that call select(2)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _take_lock(layout: Layout, project: str) -> int:
    deadline = time.monotonic() + LOCK_PATIENCE
    path = layout.project(project).lock
    while (lock := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise HostUnfit(f"cannot supervise project {project}: another process holds {path}")
        time.sleep(0.01)
    return lock


class Supervisor:
    """Joins the control socket to the engine."""

    def __init__(self, project: str, layout: Layout, channel: socket.socket, listener: socket.socket) -> None:
        self._name = project
        self._layout = layout
        self._channel = channel
        self._listener = listener
        self._opened: asyncio.Future[Project]
        self._ending = asyncio.Event()
        self._orphaned = False
        self._leaving = False
        self._refused: tuple[int, int, int] | None = None  # the records that could not be opened

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ending.set)
        self._opened = loop.create_future()
        server = Server(self._listener, self._handle)
        serving = loop.create_task(server.run())
        try:
            project = await Project.open(self._name, self._layout, self._channel, self._launcher_lost)
        except NotOpened as failure:
            return await self._refuse(failure, server, serving)
        self._opened.set_result(project)
        waits = [loop.create_task(project.until_unneeded()), loop.create_task(self._ending.wait()), serving]
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        self._leaving = True
        for task in waits:
            task.cancel()
        if serving in done:
            serving.result()  # it never returns by itself: raises what ended it
        if waits[0] in done:
            await project.close()
        else:
            project.hand_over()
            if self._orphaned:
                self._replace_launcher()
        await _wind_up()
        return 0

    async def _refuse(self, failure: NotOpened, server: Server, serving: asyncio.Task[None]) -> int:
        """Whoever asks is told why. Where containers live, the launcher starts another supervisor, which may have more
        luck; where none does, both processes end."""
        log.note("".join(traceback.format_exception(failure.error)))
        if isinstance(failure.error, LauncherLost):
            self._replace_launcher()
            return 1
        self._opened.set_exception(_told(failure.error, self._name, self._layout))
        self._refused = self._records_mark()
        with suppress(TimeoutError):
            async with asyncio.timeout(REFUSING):
                await self._ending.wait()
        serving.cancel()  # whoever asks from now on is answered by a successor: things may have changed
        while not server.idle:
            await asyncio.sleep(REFUSING / 10)
        if not self._ending.is_set() and not any(item.exit is None for item in await failure.launcher.list()):
            await failure.launcher.quit()
        return NOT_OPENED

    def _records_mark(self) -> tuple[int, int, int]:
        try:
            found = self._layout.project(self._name).records.stat()
        except OSError:
            return 0, 0, 0
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _launcher_lost(self) -> None:
        self._orphaned = True
        self._ending.set()

    def _replace_launcher(self) -> None:
        """A new launcher starts a new supervisor, which adopts everything; this one makes way for it."""
        from stackup.runtime.boot import spawn_launcher

        paths, argv = self._layout.project(self._name), supervisor_argv(self._name)
        deadline = time.monotonic() + LOCK_PATIENCE
        # The kernel closes a killed launcher's descriptors one after the other: its socket may be gone before its lock.
        while not spawn_launcher(paths, self._name, self._layout.root, argv, control_fd=self._listener.fileno()):
            if time.monotonic() > deadline:
                raise HostUnfit(f"cannot replace the launcher of project {self._name}: {paths.launcher_lock} is held")
            time.sleep(0.005)

    async def _handle(self, request: Request, connection: Connection) -> int:
        if request.version != VERSION or request.protocol != PROTOCOL or not os.path.exists(__file__):
            # The program on disk is another one now, or gone: its supervisor answers, this one makes way.
            connection.emit({"event": RESTARTING})
            self._ending.set()
            return 0
        if self._leaving or self._refused not in (None, self._records_mark()):
            self._ending.set()
            connection.emit({"event": RESTARTING})
            return 0
        project = await asyncio.shield(self._opened)
        connection.emit({"event": BEGUN})  # it leaves at once: from here on, killed or not, something may be done
        who = f"`{shlex.join(('stackup', *request.argv[1:]))}` (process {connection.peer})"
        asked = Asked(request.verb, request.args, request.files, request.cwd, request.env, who)
        code = await project.answer(asked, connection)
        if project.deserted:
            # The client waits for these two, so that nothing is left when the command returns.
            connection.emit({"event": "leaving", "pids": [os.getpid(), os.getppid()]})
        return code


async def _wind_up() -> None:
    """Everything that still waits is cancelled, and what that sets off, too."""
    deadline = time.monotonic() + WINDING_UP
    while (left := asyncio.all_tasks() - {asyncio.current_task()}) and time.monotonic() < deadline:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=WINDING_UP / 10)


def _told(error: Exception, project: str, layout: Layout) -> StackupError:
    if isinstance(error, StackupError):
        return error
    records = layout.project(project).records
    if isinstance(error, (sqlite3.DatabaseError, ValueError, KeyError, TypeError)):
        return HostUnfit(
            f"cannot open project {project}: its records cannot be read: {error!r}",
            hint=f"`mv {records} {records}.damaged`, then `stackup -p {project} down`: what is there is found by its "
            "name and taken away; named volumes and images stay",
        )
    if isinstance(error, OSError):
        return HostUnfit(f"cannot open project {project}: {error.filename or records}: {error.strerror}")
    text = "".join(traceback.format_exception(error)).rstrip()
    return Bug(f"cannot open project {project}: {error!r}", hint="please report this", snippet=text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
