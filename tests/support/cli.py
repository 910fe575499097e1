"""``stackup`` as a user types it: a process of its own, an environment of its own, a deadline."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.waiting import PATIENCE

TREE = Path(__file__).resolve().parents[2]


def stackup_command() -> list[str]:
    """The installed command beside this interpreter; without one, the module from the tree."""
    installed = Path(sys.executable).with_name("stackup")
    return [str(installed)] if installed.exists() else [sys.executable, "-P", "-m", "stackup"]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended. ``str()`` tells the whole story, for a failing assertion."""

    command: str
    code: int
    out: str
    err: str
    seconds: float

    def __str__(self) -> str:
        parts = [f"$ {self.command}", f"exit code {self.code} after {self.seconds:.2f} s"]
        parts += [f"--- {name}\n{text.rstrip()}" for name, text in (("out", self.out), ("err", self.err)) if text]
        return "\n" + "\n".join(parts)

    def ok(self) -> Done:
        assert self.code == 0, str(self)
        return self

    def says_changes(self) -> Done:
        """A plan with something in it: exit code 2, so that scripts can ask."""
        assert self.code == 2, str(self)
        return self

    def refused(self, *words: str, code: int | None = None) -> Done:
        """Ended with an error whose text has every one of ``words`` (regular expressions), and no traceback."""
        assert self.code != 0 if code is None else self.code == code, str(self)
        assert "Traceback" not in self.err, str(self)
        for word in words:
            assert re.search(word, self.err), f"not in the error text: {word}{self}"
        return self


@dataclass(slots=True)
class Cli:
    """Runs commands in ``directory`` against the state root ``root``."""

    root: Path
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    transcript: list[Done] = field(default_factory=list)

    def env(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        home = self.root.with_name(self.root.name + ".home")
        home.mkdir(exist_ok=True)
        base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home)}
        base |= {"LANG": "C.UTF-8", "TERM": "dumb", "PYTHONPATH": str(TREE), "STACKUP_ROOT": str(self.root)}
        return {**base, **self.environment, **(extra or {})}

    def __call__(self, *args: str, stdin: str = "", timeout: float = 60, env: Mapping[str, str] | None = None) -> Done:
        """Runs to the end. A command that outlives ``timeout`` is killed and fails the test."""
        command, started = shlex.join(("stackup", *args)), time.monotonic()
        process = subprocess.Popen(
            [*stackup_command(), *args],
            cwd=self.directory,
            env=self.env(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )
        try:
            out, err = process.communicate(stdin, timeout=timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"still running after {timeout:g} s: {command}\n{out}\n{err}") from None
        done = Done(command, process.returncode, out, err, time.monotonic() - started)
        self.transcript.append(done)
        return done

    def start(self, *args: str, env: Mapping[str, str] | None = None, terminal: bool = False) -> Live:
        """Starts a command that is watched while it runs; ``terminal`` gives it a pseudo-terminal of 100 columns."""
        return Live([*stackup_command(), *args], self.directory, self.env(env), terminal)


class Live:
    """A running command: its output is read as it comes, ``text`` is all of it so far."""

    def __init__(self, command: list[str], directory: Path, env: dict[str, str], terminal: bool) -> None:
        self.command = shlex.join(["stackup", *command[1:]])
        self.text = ""
        self.code: int | None = None
        if terminal:
            env = {**env, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
            self.fd, inner = pty.openpty()
            self.process = subprocess.Popen(
                command, cwd=directory, env=env, stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
                preexec_fn=lambda: take_terminal(inner),
            )  # fmt: skip
            os.close(inner)
        else:
            self.fd, inner = os.pipe()
            self.process = subprocess.Popen(
                command, cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=inner, stderr=inner
            )
            os.close(inner)

    def read(self, timeout: float) -> bool:
        """Takes what has come. False at the end of the output, or when nothing came in time."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        if not poll.poll(max(0, timeout) * 1000):
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # a terminal whose last user has gone: EIO
            data = b""
        self.text += data.decode(errors="surrogateescape")
        return bool(data)

    def shows(self, pattern: str, timeout: float = 15) -> re.Match[str]:
        """Waits until the output so far has ``pattern``."""
        deadline = time.monotonic() + timeout * PATIENCE
        while not (found := re.search(pattern, self.text, re.MULTILINE)):
            left = deadline - time.monotonic()
            if left <= 0 or not self.read(left):
                raise AssertionError(f"{self.command} does not show {pattern!r}; so far:\n{self.text}")
        return found

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def send(self, signum: int = signal.SIGINT) -> None:
        self.process.send_signal(signum)

    def ends(self, timeout: float = 30) -> int:
        """Reads to the end and answers the exit code."""
        deadline = time.monotonic() + timeout * PATIENCE
        while self.read(deadline - time.monotonic()):
            pass
        try:
            self.code = self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.command} is still running after {timeout:g} s:\n{self.text}") from None
        return self.code

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        os.close(self.fd)


def take_terminal(fd: int) -> None:
    """Makes ``fd`` the controlling terminal of the calling session leader."""
    import fcntl
    import termios

    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
