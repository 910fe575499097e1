"""Boots an image in qemu, without KVM and without any network, and runs one command in it."""

from __future__ import annotations

import io
import os
import secrets
import select
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.vm.image import TREE, Image, VmUnavailable

QEMU = "qemu-system-x86_64"
_CONSOLE_TAIL = 3000
# What the machine is given of the tree.
_PARTS = ("stackup", "tests", "examples", "pyproject.toml", "dev", "README.md")


@dataclass(frozen=True, slots=True)
class Outcome:
    """``code`` is None when the machine ended, or its time did, before the command; ``console`` is the kernel's."""

    code: int | None
    output: str
    console: str
    seconds: float

    def __str__(self) -> str:
        if self.code is not None:
            return f"{self.output}\nexit code {self.code} after {self.seconds:.0f} s"
        console = self.console[-_CONSOLE_TAIL:]
        return f"{self.output}\nno answer after {self.seconds:.0f} s; the console ends with:\n{console}"


def boot(
    image: Image,
    command: str,
    *,
    init: str = "plain",
    timeout: float = 600,
    memory: int = 2048,
    reboots: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """``command`` is a shell script, run in the tree as root; ``init`` is "plain" (the script is all there is) or
    "systemd". ``tell`` gets the output as it comes. With ``reboots`` the machine may be
    restarted: the command is run again then, on the same disk. Raises VmUnavailable."""
    if not shutil.which(QEMU):
        raise VmUnavailable("missing here: qemu-system-x86 (Debian's name)")
    mark = f"exit-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix="stackup-vm-", dir="/var/tmp") as scratch:
        tree, console = Path(scratch, "tree.tar"), Path(scratch, "console")
        _pack(tree, command, {"INIT": init, "MARK": mark})
        arguments = [
            # It takes what others leave: tests that run beside it measure times.
            *("nice", "-n", "19"),
            *(QEMU, "-machine", "q35,usb=off,vmport=off", "-accel", "tcg,thread=multi", "-cpu", "Nehalem"),
            *("-smp", "2", "-m", str(memory), "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none"),
            *(() if reboots else ("-no-reboot",)),
            *("-kernel", str(image.kernel), "-initrd", str(image.initramfs)),
            *("-append", "console=ttyS0 panic=-1 quiet loglevel=4 mitigations=off nokaslr systemd.show_status=1"),
            *("-drive", f"file={image.root},format=raw,if=virtio,snapshot=on,cache=unsafe"),
            *("-drive", f"file={tree},format=raw,if=virtio,readonly=on"),
            *("-serial", f"file:{console}", "-serial", "stdio"),
        ]
        started = time.monotonic()
        output = _listen(arguments, mark, started + timeout, tell, {**os.environ, "TMPDIR": scratch})
        text, found, code = output.rpartition(f"\n{mark} ")
        return Outcome(
            int(code.split()[0]) if found else None,
            text if found else output,
            console.read_text(errors="replace") if console.exists() else "",
            time.monotonic() - started,
        )


def _listen(
    arguments: list[str], mark: str, deadline: float, tell: Callable[[str], None], environment: dict[str, str]
) -> str:
    """What the machine says until it has said the mark, ended, or run out of time."""
    output = begun = b""
    machine = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    assert machine.stdout is not None
    try:
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([machine.stdout], [], [], left)[0]:
                break
            data = os.read(machine.stdout.fileno(), 65536)
            if not data:
                break
            output += data
            if f"\n{mark} ".encode() in output and output.endswith(b"\n"):
                break
            lines, _, begun = (begun + data).rpartition(b"\n")
            if lines:
                tell(lines.decode(errors="replace") + "\n")
    finally:
        machine.kill()
        machine.wait()
        machine.stdout.close()
    return output.decode(errors="replace")


def _pack(target: Path, command: str, settings: dict[str, str]) -> None:
    """An archive that the machine reads straight from its second disk."""

    def clean(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = Path(member.name).name
        member.uid = member.gid = 0
        return None if name == "__pycache__" or name.startswith(".") else member

    with tarfile.open(target, "w") as archive:
        for part in _PARTS:
            archive.add(TREE / part, f"stackup/{part}", filter=clean)
        lines = "".join(f"{key}={shlex.quote(value)}\n" for key, value in settings.items())
        for name, text in (("settings", lines), ("command", command + "\n")):
            member = tarfile.TarInfo(f"boot/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
