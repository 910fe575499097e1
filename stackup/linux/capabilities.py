"""Capability names, bits and the calls that set them."""

from __future__ import annotations

from struct import pack

from stackup.linux.syscall import buffer, call, prctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# include/uapi/linux/capability.h, in order of their numbers.
NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
_BITS = {name: 1 << number for number, name in enumerate(NAMES)}
_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT, _AMBIENT_RAISE = 47, 2


def mask(names: Iterable[str]) -> int:
    """Bits of ``names``. Raises OSError EINVAL naming one that no kernel knows."""
    bits = 0
    for name in names:
        if name not in _BITS:
            raise OSError(22, f"{name} is not a capability")
        bits |= _BITS[name]
    return bits


def last_capability() -> int:
    """Number of the highest capability of this kernel."""
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:
        return int(file.read())


def present() -> tuple[str, ...]:
    """Names of those that this process may hand on: not always all that the kernel has."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        bounding = next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd:"))
    return tuple(name for number, name in enumerate(NAMES) if bounding >> number & 1)


def drop_bounding(keep: int, last: int) -> None:
    """Takes everything but ``keep`` out of the bounding set, for good."""
    for number in range(last + 1):
        if not keep >> number & 1:
            prctl(_PR_CAPBSET_DROP, number)


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    low = 0xFFFFFFFF
    header = buffer(pack("Ii", _VERSION_3, 0))
    body = pack(
        "6I", effective & low, permitted & low, inheritable & low, effective >> 32, permitted >> 32, inheritable >> 32
    )
    call("capset", header, buffer(body))


def raise_ambient(bits: int) -> None:
    for number in range(len(NAMES)):
        if bits >> number & 1:
            prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, number)
