"""A supervisor that says what a test wants it to say, and a console that remembers."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import socket
import struct
import termios
import threading
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from typing import Any

from stackup.base.paths import Layout
from stackup.cli.globals import Globals
from stackup.cli.session import Session
from stackup.cli.terminal import Console
from stackup.control import client

Event = dict[str, Any]
DONE: Event = {"event": "done", "exit": 0}


class Link:
    """The supervisor's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.fds: list[int] = []
        self.buffer = b""

    def receive(self) -> Event:
        """The next line; descriptors beside it are kept."""
        while b"\n" not in self.buffer:
            data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(32))
            for _, _, payload in ancillary:
                fds = array("i")
                fds.frombytes(payload)
                self.fds += fds
            if not data:
                raise EOFError
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        found: Event = json.loads(line)
        return found

    def cancelled(self) -> str:
        """How the user cancels; what he sends before it is passed over."""
        while "cancel" not in (message := self.receive()):
            continue
        return str(message["cancel"])

    def send(self, *events: Event) -> None:
        for event in events:
            self.socket.sendall(json.dumps(event).encode() + b"\n")

    def send_fd(self, event: Event, fd: int) -> None:
        line = json.dumps({**event, "fds": 1}).encode() + b"\n"
        self.socket.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))])


Script = Callable[[Event, Link], None]


class FakeSupervisor:
    """Serves a project's control socket. ``script`` gets each request; ``requests`` and ``messages`` remember."""

    def __init__(self, layout: Layout, project: str, script: Script) -> None:
        self.script = script
        self.requests: list[Event] = []
        paths = layout.project(project)
        paths.run.mkdir(parents=True, exist_ok=True)
        paths.state.mkdir(parents=True, exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(paths.run, os.O_PATH)
        self.listener.bind(f"/proc/self/fd/{directory}/{paths.control_socket.name}")
        os.close(directory)
        self.listener.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock:
                link = Link(sock)
                try:
                    self.requests.append(link.receive())
                    self.script(self.requests[-1], link)
                except (EOFError, ConnectionError):
                    pass
                for fd in link.fds:
                    os.close(fd)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


@contextmanager
def supervisor(layout: Layout, script: Script, project: str = "shop") -> Iterator[FakeSupervisor]:
    fake = FakeSupervisor(layout, project, script)
    try:
        yield fake
    finally:
        fake.close()


def says(*events: Event) -> Script:
    """Answers every request with these events and ``done``."""

    def script(request: Event, link: Link) -> None:
        link.send(*events)
        if not events or events[-1]["event"] != "done":
            link.send(DONE)

    return script


def having(services: Sequence[str], *events: Event) -> Script:
    """As ``says``, for a project with a running container of each of these services."""
    rows = [
        {"id": f"{number:064x}", "name": f"shop-{service}-1", "service": service, "phase": "running"}
        for number, service in enumerate(services, 1)
    ]
    listing = says({"event": "result", "data": rows})
    saying = says(*events)

    def script(request: Event, link: Link) -> None:
        (listing if request["verb"] == "ps" else saying)(request, link)

    return script


class Running:
    """A connector that never starts anything."""

    def connect(self, layout: Layout, project: str) -> client.Client | None:
        return client.connect(layout, project)

    def ensure(self, layout: Layout, project: str) -> client.Client:
        found = client.connect(layout, project)
        assert found is not None, "nothing is running"
        return found


class Capture(io.TextIOWrapper):
    """A text stream over memory, with the ``buffer`` that log lines are written to."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="surrogateescape", write_through=True)

    def text(self) -> str:
        self.flush()
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode("utf-8", "surrogateescape")

    def fileno(self) -> int:
        return 2


def console(*, colour: bool = False, progress: str = "plain") -> Console:
    return Console(Capture(), Capture(), colour, colour, progress)


@contextmanager
def terminal_console() -> Iterator[tuple[int, Console]]:
    """A console on a terminal of 80 columns, without colour; and what it shows, to be read from the descriptor."""
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    attributes = termios.tcgetattr(follower)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(follower, termios.TCSANOW, attributes)
    stream = os.fdopen(follower, "w", encoding="utf-8")
    try:
        yield leader, Console(stream, stream, False, False, "tty")
    finally:
        stream.close()
        os.close(leader)


def shown(leader: int) -> str:
    """All that has come since the last look."""
    data = b""
    while select.select([leader], [], [], 0.05)[0]:
        data += os.read(leader, 65536)
    return data.decode()


def session(
    layout: Layout, *, project: str = "shop", environment: Mapping[str, str] | None = None, cwd: Path | str = "/"
) -> Session:
    return Session(
        options=Globals(project_name=project),
        layout=layout,
        console=console(),
        environment=dict(environment or {}),
        cwd=str(cwd),
        connector=Running(),
    )


def out(of: Session) -> str:
    assert isinstance(of.console.out, Capture)
    return of.console.out.text()


def err(of: Session) -> str:
    assert isinstance(of.console.err, Capture)
    return of.console.err.text()


def plan(*steps: tuple[str, str], after: Mapping[str, list[str]] | None = None) -> Event:
    """``plan(("create", "container shop-web-1"))``; ids are "verb target"."""
    actions = [
        {
            "id": f"{verb} {target}",
            "verb": verb,
            "target": target,
            "text": f"{verb} {target}",
            "reason": "not there yet",
            "after": (after or {}).get(f"{verb} {target}", []),
        }
        for verb, target in steps
    ]
    return {"event": "plan", "version": 1, "project": "shop", "actions": actions, "notices": [], "questions": []}


def action(verb: str, target: str, state: str, **more: Any) -> Event:
    return {"event": "action", "id": f"{verb} {target}", "state": state, **more}


def log(name: str, line: str, stream: str = "stdout", time_ns: int = 1_700_000_000_000_000_001) -> Event:
    service = name.rsplit("-", 1)[0]
    return {"event": "log", "name": name, "service": service, "stream": stream, "time_ns": time_ns, "text": line}


def exited(name: str, code: int | None, *, restarting: bool = False) -> Event:
    return {
        "event": "exited",
        "name": name,
        "service": name.rsplit("-", 1)[0],
        "code": code,
        "restarting": restarting,
    }
