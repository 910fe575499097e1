"""Operations on standard input, output and error."""

from __future__ import annotations

import os

from stackup.runtime.launcher.operations.base import Operation, Stage


class OpenOutput(Operation):
    """The FIFOs, opened while host paths exist. They belong to the container's user, who may reopen /dev/stdout.

    In both directions, as a terminal would be: whoever reads may die, launcher and supervisor too, and the container
    waits in write(2) for the next one instead of dying of SIGPIPE.
    """

    __slots__ = ("gid", "stderr", "stdout", "uid")
    step = "stdio"

    def __init__(self, stdout: str, stderr: str, uid: int, gid: int) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.uid = uid
        self.gid = gid

    @property
    def path(self) -> str:
        return self.stdout

    def describe(self) -> str:
        return f"open the output {self.stdout or '/dev/null'} {self.stderr or '/dev/null'}"

    def execute(self, stage: Stage) -> None:
        for number, path in ((1, self.stdout), (2, self.stderr)):
            if number == 2 and path and path == self.stdout:
                stage.kernel.dup2(1, 2)
                continue
            fd = stage.kernel.open(path or "/dev/null", os.O_RDWR | os.O_CLOEXEC)
            if path:
                stage.kernel.fchown(fd, self.uid, self.gid)
            stage.kernel.dup2(fd, number)
            stage.kernel.close(fd)


class TakeDescriptors(Operation):
    """Descriptors that came with the request become 0, 1 and 2; None: /dev/null."""

    __slots__ = ("fds",)
    step = "stdio"

    def __init__(self, fds: list[int]) -> None:
        """At most three; the missing ones are /dev/null."""
        self.fds = fds

    def describe(self) -> str:
        return "take standard input, output and error"

    def execute(self, stage: Stage) -> None:
        if len(self.fds) < 3:
            null = stage.kernel.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            self.fds = [*self.fds, *[null] * (3 - len(self.fds))]
        for number, fd in enumerate(self.fds):
            stage.kernel.dup2(fd, number)


class TakeInput(Operation):
    """The read end of a pipe whose write end the launcher keeps, or /dev/null."""

    __slots__ = ("fd",)
    step = "stdio"

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def describe(self) -> str:
        return "keep standard input open" if self.fd >= 0 else "take standard input from /dev/null"

    def execute(self, stage: Stage) -> None:
        fd = self.fd if self.fd >= 0 else stage.kernel.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        stage.kernel.dup2(fd, 0)
        stage.kernel.close(fd)


class NewSession(Operation):
    """A session of its own, with the terminal that was opened (if any) as its controlling one and as 0, 1 and 2."""

    step = "stdio"

    def describe(self) -> str:
        return "start a session"

    def execute(self, stage: Stage) -> None:
        stage.kernel.setsid()
        if stage.slave_fd >= 0:
            stage.kernel.make_controlling(stage.slave_fd)
            for number in (0, 1, 2):
                stage.kernel.dup2(stage.slave_fd, number)
            stage.kernel.close(stage.slave_fd)
