"""Whether a signal would reach a container's PID 1 at all, by what the kernel shows of it."""

from __future__ import annotations

import os

SIGTIMEDWAIT = {"x86_64": "128", "aarch64": "137"}  # number of rt_sigtimedwait(2)


def is_deaf(pid: int, number: int) -> bool:
    """True only where the kernel is certain to drop signal ``number`` (signal(7), pid_namespaces(7)).

    That is: ``pid`` is first in its pid namespace, has no handler for it, no thread blocks it (as those do that take
    it from a signalfd or by sigwait), and none is waiting in sigwait just now (the kernel unblocks it meanwhile).
    """
    fields = _status(f"/proc/{pid}/status")
    if fields.get("NSpid", "").split()[-1:] != ["1"] or _holds(fields, "SigCgt", number):
        return False
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    return bool(threads) and not any(_may_take(f"/proc/{pid}/task/{thread}", number) for thread in threads)


def _may_take(thread: str, number: int) -> bool:
    fields = _status(f"{thread}/status")
    try:
        with open(f"{thread}/syscall", encoding="ascii") as file:
            call = file.read().split(" ", 1)[0]
    except OSError:
        return True  # it cannot be told
    return not fields or _holds(fields, "SigBlk", number) or call == SIGTIMEDWAIT.get(os.uname().machine, call)


def _status(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return dict(line.split(":", 1) for line in file)
    except OSError:
        return {}


def _holds(fields: dict[str, str], mask: str, number: int) -> bool:
    return bool(int(fields.get(mask, "0").strip(), 16) >> (number - 1) & 1)
