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
        "here",
        "host_links",
        "kernel",
        "null_fd",
        "proc_device",
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
        self.here = -1
        self.proc_device = -1
        self.null_fd = -1
        self.empty_fd = -1
        self.slave_fd = -1
        self.terminal_name = ""
        self.seccomp = b""

    def enter_mount(self, path: str) -> str:
        """For a path in /proc, /dev or /sys: goes into that mount and answers the rest, which mount(2) takes as it is.
        Otherwise "".

        The mounts are reached by their descriptors and hold nothing but what the kernel or this runtime has put there,
        so no link that an image or a volume brought along can lead elsewhere. One call then does what takes six with
        descriptors.
        """
        for root, fd in self.roots.items():
            if path.startswith(root + "/"):
                if self.here != fd:
                    self.kernel.fchdir(fd)
                    self.here = fd
                return path[len(root) + 1 :]
        return ""


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
