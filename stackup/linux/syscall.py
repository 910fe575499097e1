"""System calls through ctypes: ``call`` and the numbers for x86_64 and aarch64. Everything else in ``linux`` uses it.

``PyDLL`` keeps the interpreter's lock held, so that a child made by clone3 inherits a consistent interpreter.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import Array
    from typing import Any

    Argument = int | bytes | None | Array[ctypes.c_char]

libc = ctypes.PyDLL(None, use_errno=True)
_functions: dict[tuple[type, ...], Any] = {}

# Numbers from 424 on are the same everywhere; the older ones stand in arch/x86/entry/syscalls/syscall_64.tbl and
# include/uapi/asm-generic/unistd.h.
_COMMON = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
}
_BY_MACHINE = {
    "x86_64": {
        "bpf": 321,
        "capset": 126,
        "execveat": 322,
        "inotify_add_watch": 254,
        "inotify_init1": 294,
        "inotify_rm_watch": 255,
        "keyctl": 250,
        "mount": 165,
        "pivot_root": 155,
        "prctl": 157,
        "prlimit64": 302,
        "rt_sigaction": 13,
        "seccomp": 317,
        "setdomainname": 171,
        "sethostname": 170,
        "setns": 308,
        "umount2": 166,
        "unshare": 272,
    },
    "aarch64": {
        "bpf": 280,
        "capset": 91,
        "execveat": 281,
        "inotify_add_watch": 27,
        "inotify_init1": 26,
        "inotify_rm_watch": 28,
        "keyctl": 219,
        "mount": 40,
        "pivot_root": 41,
        "prctl": 167,
        "prlimit64": 261,
        "rt_sigaction": 134,
        "seccomp": 277,
        "setdomainname": 162,
        "sethostname": 161,
        "setns": 268,
        "umount2": 39,
        "unshare": 97,
    },
}

MACHINE = os.uname().machine
NUMBERS = {**_COMMON, **_BY_MACHINE.get(MACHINE, {})}

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000


def call(name: str, *arguments: Argument) -> int:
    """The kernel's answer; raises OSError with the errno. Integers are passed as they are, bytes as pointers."""
    number = NUMBERS.get(name)
    if number is None:
        raise OSError(38, f"{name}: no known number on {MACHINE}")
    kinds = tuple(map(type, arguments))
    result: int = (_functions.get(kinds) or _function(kinds))(number, *arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _function(kinds: tuple[type, ...]) -> Any:
    """syscall(2) for arguments of these Python types: ctypes converts several times quicker when it is told once."""
    function = libc["syscall"]
    function.restype = ctypes.c_long
    converted = (ctypes.c_long if issubclass(kind, int) else ctypes.c_char_p for kind in kinds)
    function.argtypes = [ctypes.c_long, *converted]
    _functions[kinds] = function
    return function


def buffer(data: bytes | bytearray) -> Array[ctypes.c_char]:
    """A writable copy whose address can be passed on."""
    return ctypes.create_string_buffer(bytes(data), len(data))


def address(block: Array[ctypes.c_char]) -> int:
    return ctypes.addressof(block)


def prctl(option: int, *arguments: int) -> int:
    return call("prctl", option, *arguments, *(0,) * (4 - len(arguments)))
