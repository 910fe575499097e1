"""Operation, the stage it acts on, and the way it refuses."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from collections.abc import Callable
    from typing import Any

    from stackup.linux.kernel import Kernel


class Refusal(Exception):
    """An operation that cannot be carried out, with what the user's sentence needs beyond an OSError."""

    def __init__(self, step: str, errno: int, path: str = "", text: str = "", **more: str) -> None:
        super().__init__(text or os.strerror(errno))
        self.step = step
        self.errno = errno
        self.path = path
        self.text = text
        self.more = more


class Operation:
    """One effect. ``step`` names it in faults, ``path`` is the file it is about ("" when there is none)."""

    __slots__ = ()
    step = "start"

    @property
    def path(self) -> str:
        return ""

    def describe(self) -> str:
        """A phrase that goes after "cannot"."""
        raise NotImplementedError

    def execute(self, stage: Stage) -> None:
        """Raises OSError or Refusal."""
        raise NotImplementedError


class Stage:
    """What operations hand to those after them. Everything else that an operation needs is in itself."""

    __slots__ = (
        "empty_fd",
        "host_links",
        "kernel",
        "null_fd",
        "report",
        "roots",
        "seccomp",
        "slave_fd",
        "sources",
        "terminal_name",
    )

    def __init__(
        self, kernel: Kernel, report: Callable[[dict[str, Any], list[int]], None], host_links: Socket | None = None
    ) -> None:
        """``report`` sends a packet with descriptors to the launcher; ``host_links`` is netlink of the host."""
        self.kernel = kernel
        self.report = report
        self.host_links = host_links
        self.sources: dict[int, int] = {}
        self.roots: dict[str, int] = {}
        self.null_fd = -1
        self.empty_fd = -1
        self.slave_fd = -1
        self.terminal_name = ""
        self.seccomp = b""

    def open_inside(self, path: str, flags: int) -> int:
        """Opens a path of the new root. What lies in its /proc and /sys is reached through the mounts themselves, so
        that no symlink or mount that a volume brought along can lead elsewhere."""
        for root, fd in self.roots.items():
            if path.startswith(root + "/"):
                return self.kernel.open(path[len(root) + 1 :], flags | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=fd)
        return self.kernel.open(path, flags | os.O_CLOEXEC)


def run(operations: list[Operation], stage: Stage) -> None:
    """Carries out all; any failure leaves as a Refusal that names the operation."""
    for operation in operations:
        try:
            operation.execute(stage)
        except OSError as error:
            number = error.errno or 0
            raise Refusal(
                operation.step,
                number,
                operation.path or str(error.filename or ""),
                error.strerror or str(error),
                what=operation.describe(),
            ) from error
