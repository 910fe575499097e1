"""Device access on cgroup v2: rules compiled to a small BPF program that is attached to the container's cgroup.

The program reads ``struct bpf_cgroup_dev_ctx {access_type, major, minor}``, tests the rules from the last to the first
and answers 1 (allowed) or 0. Source of the scheme: opencontainers/runc, libcontainer/cgroups/devices/devicefilter.go.
"""

from __future__ import annotations

import os
from struct import pack

from stackup.linux.syscall import address, buffer, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PROG_LOAD, _PROG_ATTACH = 5, 8
_PROG_TYPE_CGROUP_DEVICE, _CGROUP_DEVICE = 15, 6
_ALLOW_MULTI = 2
_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
_ALL_ACCESS = 7
_LICENSE = b"Apache\0"

# Registers: 2 type, 3 access, 4 major, 5 minor of the request; 6 scratch; 1 context; 0 answer.
_LOAD_WORD, _AND_IMM, _RSH_IMM, _MOV_REG, _MOV_IMM, _EXIT = 0x61, 0x54, 0x74, 0xBC, 0xB4, 0x95
_JUMP_NE_IMM, _JUMP_NE_REG, _JUMP_EQ_IMM, _JUMP_ALWAYS = 0x55, 0x5D, 0x15, 0x05


class DeviceRule:
    """``kind`` is "a", "b" or "c"; -1 stands for every major or minor number; ``access`` is of the letters rwm."""

    __slots__ = ("access", "allow", "kind", "major", "minor")

    def __init__(self, allow: bool, kind: str, major: int, minor: int, access: str) -> None:
        self.allow = allow
        self.kind = kind
        self.major = major
        self.minor = minor
        self.access = access

    def v1_line(self) -> str:
        """As devices.allow and devices.deny of cgroup v1 take it."""
        if self.kind == "a":
            return "a"
        major, minor = ("*" if number < 0 else str(number) for number in (self.major, self.minor))
        return f"{self.kind} {major}:{minor} {self.access}"


def _instruction(code: int, destination: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return pack("<BBhi", code, source << 4 | destination, offset, value)


def compile_rules(rules: Sequence[DeviceRule]) -> bytes:
    """The program. Without a rule for everything, what no rule names is allowed (as cgroup v1 starts out)."""
    program = [
        _instruction(_LOAD_WORD, 2, 1, 0),
        _instruction(_AND_IMM, 2, value=0xFFFF),
        _instruction(_LOAD_WORD, 3, 1, 0),
        _instruction(_RSH_IMM, 3, value=16),
        _instruction(_LOAD_WORD, 4, 1, 4),
        _instruction(_LOAD_WORD, 5, 1, 8),
    ]
    default = 1
    for rule in reversed(_merged(rules)):
        access = sum(_ACCESS[letter] for letter in set(rule.access)) or _ALL_ACCESS
        if rule.kind == "a":
            default = int(rule.allow)
            break
        program += _tests(rule, access)
    return b"".join(program) + _instruction(_MOV_IMM, 0, value=default) + _instruction(_EXIT)


def _merged(rules: Sequence[DeviceRule]) -> list[DeviceRule]:
    """Neighbouring rules on the same numbers become one: allow r, then allow w, allows to open for both."""
    found: list[DeviceRule] = []
    for rule in rules:
        last = found[-1] if found else None
        if (
            last
            and rule.kind != "a"
            and (last.allow, last.kind, last.major, last.minor) == (rule.allow, rule.kind, rule.major, rule.minor)
        ):
            found[-1] = DeviceRule(rule.allow, rule.kind, rule.major, rule.minor, last.access + rule.access)
        else:
            found.append(rule)
    return found


def _tests(rule: DeviceRule, access: int) -> list[bytes]:
    """One rule: jumps past its end when a test fails, else answers."""
    conditions: list[tuple[int, int, int, int]] = [(_JUMP_NE_IMM, 2, 0, _TYPES[rule.kind])]
    extra: list[bytes] = []
    if access != _ALL_ACCESS:
        extra = [_instruction(_MOV_REG, 6, 3), _instruction(_AND_IMM, 6, value=access)]
        # allow: everything asked for is granted; deny: anything asked for is refused
        conditions.append((_JUMP_NE_REG, 6, 3, 0) if rule.allow else (_JUMP_EQ_IMM, 6, 0, 0))
    for register, number in ((4, rule.major), (5, rule.minor)):
        if number >= 0:
            conditions.append((_JUMP_NE_IMM, register, 0, number))
    answer = [_instruction(_MOV_IMM, 0, value=int(rule.allow)), _instruction(_EXIT)]
    total = len(conditions) + len(extra) + len(answer)
    body: list[bytes] = []
    for code, register, source, value in conditions:
        if register == 6:
            body += extra
        body.append(_instruction(code, register, source, total - len(body) - 1, value))
    return body + answer


def load_device_program(program: bytes) -> int:
    """The loaded program's descriptor. Raises OSError; EPERM or EINVAL where the kernel has no such programs."""
    code, text = buffer(program), buffer(_LICENSE)
    attributes = pack("IIQQIIQII", _PROG_TYPE_CGROUP_DEVICE, len(program) // 8, address(code), address(text), *(0,) * 5)
    return call("bpf", _PROG_LOAD, buffer(attributes), len(attributes))


def attach_device_program(cgroup: str, program_fd: int) -> None:
    """Holds until the cgroup is removed; also everything above must allow an access."""
    fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        attributes = pack("IIII", fd, program_fd, _CGROUP_DEVICE, _ALLOW_MULTI)
        call("bpf", _PROG_ATTACH, buffer(attributes), len(attributes))
    finally:
        os.close(fd)
