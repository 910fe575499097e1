"""Control groups as the engine sees them: usage, processes, removal. Works on v2, v1 and hybrid hosts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes, nanoseconds, tasks. None: this host does not count it."""

    memory: int | None
    memory_limit: int | None
    cpu_ns: int | None
    pids: int | None


def processes(cgroup: str) -> tuple[int, ...]:
    raise NotImplementedError


def usage(cgroup: str) -> Usage:
    raise NotImplementedError


def remove_cgroups(*paths: str) -> tuple[str, ...]:
    raise NotImplementedError
