"""exec: our descriptors for the command, or two terminals joined."""

from __future__ import annotations

import errno
import os
import pty
import select
import signal
import struct
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from cli_support import Event, Link, err, session, supervisor

from stackup.base.errors import ContainerFault, HostUnfit
from stackup.base.paths import Layout
from stackup.cli import console
from stackup.cli.verbs import exec_


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path)


def test_not_running(layout: Layout) -> None:
    with pytest.raises(HostUnfit, match="cannot exec in service web: it is not running"):
        exec_.run(session(layout), exec_.Request("web", ("ls",)))


def test_the_command_gets_our_descriptors_and_its_code_is_ours(layout: Layout) -> None:
    same: list[bool] = []

    def script(request: Event, link: Link) -> None:
        same.extend(os.path.sameopenfile(ours, theirs) for ours, theirs in enumerate(link.fds))
        link.send({"event": "done", "exit": 42})

    of = session(layout, environment={"A": "1"})
    with supervisor(layout, script) as fake:
        code = exec_.run(of, exec_.Request("web", ("sh", "-c", "x"), no_tty=True, env=("A", "B=2")))
    assert code == 42
    assert same == [True, True, True]
    args = fake.requests[0]["args"]
    assert (args["service"], args["command"], args["env"], args["tty"]) == (
        "web",
        ["sh", "-c", "x"],
        ["A=1", "B=2"],
        False,
    )


def test_detached_gets_no_terminal_of_ours(layout: Layout) -> None:
    numbers: list[Any] = []

    def script(request: Event, link: Link) -> None:
        null = os.stat(os.devnull).st_rdev
        numbers.extend(os.fstat(fd).st_rdev == null for fd in link.fds)
        link.send({"event": "done", "exit": 0})

    with supervisor(layout, script):
        assert exec_.run(session(layout), exec_.Request("web", ("sleep", "1"), detach=True)) == 0
    assert numbers == [True, True, True]


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOENT, 127), (errno.EACCES, 126), (errno.EISDIR, 126), (errno.EPERM, 1)]
)
def test_a_command_that_cannot_run_ends_as_in_a_shell(layout: Layout, number: int, code: int) -> None:
    error = ContainerFault("cannot run 'nope'", errno=number).to_dict()

    def script(request: Event, link: Link) -> None:
        link.send({"event": "error", "error": error}, {"event": "done", "exit": 1})

    with supervisor(layout, script):
        assert exec_.run(session(layout), exec_.Request("web", ("nope",))) == code


class Terminal:
    """A terminal in the place of descriptors 0 and 1; ``user`` is where somebody types and reads."""

    def __init__(self) -> None:
        self.user, self.fd = pty.openpty()
        ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.fd)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the test's own call: pytest puts its descriptors back between set-up and call."""
        saved = [os.dup(0), os.dup(1)]
        os.dup2(self.fd, 0)
        os.dup2(self.fd, 1)
        try:
            yield
        finally:
            for number, fd in enumerate(saved):
                os.dup2(fd, number)
                os.close(fd)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    os.close(made.user)
    os.close(made.fd)


def read_until(fd: int, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        assert select.select([fd], [], [], 5)[0], f"only {data!r} came"
        data += os.read(fd, 1024)
    return data


def test_two_terminals_are_joined(layout: Layout, terminal: Terminal) -> None:
    before = terminal.settings()
    notes: dict[str, Any] = {}

    def script(request: Event, link: Link) -> None:
        leader, follower = pty.openpty()
        tty.setraw(follower)
        link.send_fd({"event": "console"}, leader)
        os.close(leader)
        os.write(follower, b"$ ")
        notes["prompt"] = read_until(terminal.user, b"$ ")
        notes["size"] = struct.unpack("HHHH", ioctl(follower, termios.TIOCGWINSZ, b"\0" * 8))[:2]
        notes["raw"] = not terminal.settings()[3] & termios.ICANON
        os.write(terminal.user, b"exit\x03\n")
        notes["typed"] = read_until(follower, b"\n")
        os.write(follower, b"bye")
        link.send({"event": "done", "exit": 7})
        os.close(follower)

    of = session(layout)
    with supervisor(layout, script) as fake, terminal.in_place():
        assert exec_.run(of, exec_.Request("web", ("sh",))) == 7
    assert fake.requests[0]["args"]["tty"] is True
    assert fake.requests[0]["args"]["size"] == [40, 100]
    assert notes == {"prompt": b"$ ", "size": (40, 100), "raw": True, "typed": b"exit\x03\n"}
    assert read_until(terminal.user, b"bye") == b"bye"
    assert terminal.settings() == before


def test_an_error_before_the_console_is_shown(layout: Layout, terminal: Terminal) -> None:
    error = HostUnfit("cannot execute in service web: no such command").to_dict()

    def script(request: Event, link: Link) -> None:
        link.send({"event": "error", "error": error}, {"event": "done", "exit": 127})

    of = session(layout)
    with supervisor(layout, script), terminal.in_place():
        assert exec_.run(of, exec_.Request("web", ("nope",))) == 127
    assert "no such command" in err(of)


def test_window_changes_follow(terminal: Terminal) -> None:
    leader, follower = pty.openpty()
    changed = threading.Event()
    with console.resizes(terminal.fd, leader):
        ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 20, 0, 0))
        os.kill(os.getpid(), signal.SIGWINCH)
        changed.wait(0.01)
        assert console.window_size(follower) == (10, 20)
    os.close(leader)
    os.close(follower)
