"""Capability names, bits and the calls that set them."""

from __future__ import annotations

from struct import pack

from stackup.base.capabilities import ALL_CAPABILITIES
from stackup.linux.syscall import buffer, call, prctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_BITS = {name: 1 << number for number, name in enumerate(ALL_CAPABILITIES)}
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
    return tuple(name for number, name in enumerate(ALL_CAPABILITIES) if bounding >> number & 1)


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
    for number in range(len(ALL_CAPABILITIES)):
        if bits >> number & 1:
            prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, number)
