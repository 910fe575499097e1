"""The child's side: carries the operations out, and tells the launcher by name what failed. Never returns."""

from __future__ import annotations

import os

from stackup.linux import process
from stackup.linux.kernel import Kernel
from stackup.runtime import packets
from stackup.runtime.launcher.operations.base import Refusal, Stage, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from collections.abc import Callable

    from stackup.runtime.launcher.operations.base import Operation


def become(operations: list[Operation], sync: Socket, host_links: Socket | None) -> None:
    """Carries out the plan; ``sync`` is the packet socket to the launcher, closed by the exec that ends it all."""

    def report(message: dict[str, object], fds: list[int]) -> None:
        packets.send(sync, message, fds, wait=True)

    try:
        process.default_signals()
        process.restore_open_files()
        run(operations, Stage(Kernel(), report, host_links))
    except Refusal as refusal:
        fault = {"step": refusal.step, "errno": refusal.errno, "path": refusal.path, "text": str(refusal)}
        _tell(report, {**fault, **refusal.more})
    except BaseException as error:  # noqa: BLE001  (a bug here must be told, not become a second launcher)
        _tell(report, {"step": "start", "errno": 0, "path": "", "text": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(127)


def _tell(report: Callable[[dict[str, object], list[int]], None], fault: dict[str, object]) -> None:
    try:
        report({"fault": fault}, [])
    except OSError:  # the launcher has gone; so do we
        os._exit(127)
