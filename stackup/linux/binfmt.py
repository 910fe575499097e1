"""Which other machines' programs the kernel runs here: by itself, or through an emulator that binfmt_misc names.

Formats: Documentation/admin-guide/binfmt-misc.rst of the kernel; the head of an ELF file: gABI, "ELF Header".
"""

from __future__ import annotations

import struct
from pathlib import Path

from stackup.base.values import frozen

REGISTERED = Path("/proc/sys/fs/binfmt_misc")
_IA32 = Path("/proc/sys/abi/vsyscall32")  # there with CONFIG_IA32_EMULATION only
_EXECUTABLE = 2  # e_type
# Class (1: 32 bits, 2: 64 bits), byte order (1: little, 2: big) and e_machine, by Go's names of architectures.
_MACHINES = {
    "386": (1, 1, 3),
    "amd64": (2, 1, 62),
    "arm": (1, 1, 40),
    "arm64": (2, 1, 183),
    "loong64": (2, 1, 258),
    "mips64": (2, 2, 8),
    "mips64le": (2, 1, 8),
    "ppc64": (2, 2, 21),
    "ppc64le": (2, 1, 21),
    "riscv64": (2, 1, 243),
    "s390x": (2, 2, 22),
}


@frozen
class Handler:
    """``fixed`` (flag F): the kernel holds the interpreter open, so that it works in any root directory."""

    interpreter: str
    fixed: bool
    offset: int
    magic: bytes
    mask: bytes

    def takes(self, head: bytes) -> bool:
        """Whether a file that begins with ``head`` is run by it."""
        part = head[self.offset : self.offset + len(self.magic)]
        mask = self.mask or b"\xff" * len(self.magic)
        return len(part) == len(self.magic) and all(
            a & c == b & c for a, b, c in zip(part, self.magic, mask, strict=True)
        )


def handler(architecture: str, registered: Path | None = None) -> Handler | None:
    """The one that runs programs of ``architecture`` (Go's name for it), those with flag F first."""
    head = _head(architecture)
    found = [item for item in _handlers(registered or REGISTERED) if head and item.takes(head)]
    return min(found, key=lambda item: not item.fixed, default=None)


def runs_32_bit() -> bool:
    """Whether an amd64 kernel runs programs for 386."""
    return _IA32.exists()


def _head(architecture: str) -> bytes:
    if architecture not in _MACHINES:
        return b""
    size, order, machine = _MACHINES[architecture]
    return b"\x7fELF" + bytes([size, order, 1]) + bytes(9) + struct.pack("<>"[order - 1] + "HH", _EXECUTABLE, machine)


def _handlers(registered: Path) -> list[Handler]:
    try:
        if (registered / "status").read_text(encoding="ascii").strip() != "enabled":
            return []
        names = sorted(path for path in registered.iterdir() if path.name not in ("register", "status"))
    except OSError:  # not mounted, which is usual
        return []
    return [found for found in map(_read, names) if found is not None]


def _read(path: Path) -> Handler | None:
    """None for one that is switched off, goes by a file's extension, or went away meanwhile."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    fields = dict(line.partition(" ")[::2] for line in lines)
    if "enabled" not in fields or "magic" not in fields:
        return None
    return Handler(
        fields.get("interpreter", ""),
        "F" in fields.get("flags:", ""),
        int(fields.get("offset", "0")),
        bytes.fromhex(fields["magic"]),
        bytes.fromhex(fields.get("mask", "")),
    )
