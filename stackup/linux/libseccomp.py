"""libseccomp through ctypes: seccomp profiles in Docker's JSON form to BPF.

The library is opened on first use only; the launcher loads compiled filters (``seccompfilter``) and never needs it.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from functools import cache
from typing import Any

from stackup.linux.syscall import MACHINE

_CTL_NNP, _CTL_OPTIMIZE = 3, 8
_ACTIONS = {
    "SCMP_ACT_ALLOW": 0x7FFF0000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
}
_COMPARISONS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
# Go's names as the profiles have them, and libseccomp's names of the foreign ABIs that each kernel runs as well.
GO_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}
_FOREIGN = {"x86_64": (b"x86", b"x32"), "aarch64": (b"arm",)}


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class _Version(ctypes.Structure):
    _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))


@cache
def _library() -> ctypes.CDLL:
    """Raises OSError when the machine has no libseccomp.so.2 (Debian: libseccomp2)."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    )
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.seccomp_version.restype = ctypes.POINTER(_Version)
    return library


def version() -> str:
    found = _library().seccomp_version().contents
    return f"{found.major}.{found.minor}.{found.micro}"


def _action(name: str, errno: int | None) -> int:
    if name not in _ACTIONS:
        raise ValueError(f"seccomp profile: unknown action {name!r}")
    value = _ACTIONS[name]
    return (
        value | (errno if errno is not None else 1) & 0xFFFF if name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") else value
    )


def compile_profile(profile: dict[str, Any], caps: frozenset[str], kernel: tuple[int, int]) -> bytes:
    """BPF for this machine's architecture. ``caps``: the container's bounding set; ``kernel``: (6, 1), for minKernel.

    Raises ValueError for a profile that cannot be understood. System calls unknown to the library are left out, which
    leaves them to the default action.
    """
    library = _library()
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    context = library.seccomp_init(default)
    if not context:
        raise ValueError("seccomp profile: libseccomp refuses the default action")
    try:
        library.seccomp_attr_set(context, _CTL_NNP, 0)
        library.seccomp_attr_set(context, _CTL_OPTIMIZE, 2)  # a binary tree; libseccomp 2.5 and later
        for name in _FOREIGN.get(MACHINE, ()):
            library.seccomp_arch_add(context, library.seccomp_arch_resolve_name(name))
        for rule in profile.get("syscalls") or ():
            action = _action(rule["action"], rule.get("errnoRet"))
            if action != default and applies(rule, caps, kernel):
                _add_rule(library, context, action, rule)
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def applies(rule: dict[str, Any], caps: frozenset[str], kernel: tuple[int, int]) -> bool:
    """``includes`` and ``excludes`` as moby's profiles/seccomp/seccomp_linux.go reads them."""
    architecture = GO_ARCHITECTURE.get(MACHINE, MACHINE)
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if includes.get("arches") and architecture not in includes["arches"]:
        return False
    if not caps.issuperset(includes.get("caps") or ()):
        return False
    if architecture in (excludes.get("arches") or ()) or caps.intersection(excludes.get("caps") or ()):
        return False
    if includes.get("minKernel") and kernel < _release(includes["minKernel"]):
        return False
    return not (excludes.get("minKernel") and kernel >= _release(excludes["minKernel"]))


def _release(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def _add_rule(library: ctypes.CDLL, context: int, action: int, rule: dict[str, Any]) -> None:
    arguments = rule.get("args") or ()
    comparisons = (_Comparison * max(len(arguments), 1))(
        *[_Comparison(arg["index"], _COMPARISONS[arg["op"]], arg["value"], arg.get("valueTwo", 0)) for arg in arguments]
    )
    for name in rule.get("names") or (rule["name"],):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:  # __NR_SCMP_ERROR; other negative numbers are calls that only a foreign ABI has
            continue
        if len({arg["index"] for arg in arguments}) == len(arguments):
            library.seccomp_rule_add_array(context, action, number, len(arguments), comparisons)
        else:  # two tests of one argument: alternatives, as runc does
            for single in comparisons:
                library.seccomp_rule_add_array(context, action, number, 1, ctypes.byref(single))


def _export(library: ctypes.CDLL, context: int) -> bytes:
    with tempfile.TemporaryFile() as file:
        failed = library.seccomp_export_bpf(context, file.fileno())
        if failed:
            raise OSError(-failed, f"libseccomp: {os.strerror(-failed)}")
        file.seek(0)
        return file.read()
