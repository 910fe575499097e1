"""Loads a compiled seccomp filter (an array of ``struct sock_filter``) into the calling process."""

from __future__ import annotations

from struct import pack

from stackup.linux.syscall import address, buffer, call

_SET_MODE_FILTER = 1


def load_filter(program: bytes) -> None:
    """Needs no_new_privs or CAP_SYS_ADMIN; it cannot be taken off again."""
    block = buffer(program)
    call("seccomp", _SET_MODE_FILTER, 0, buffer(pack("HxxxxxxQ", len(program) // 8, address(block))))
