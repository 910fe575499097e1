"""Small root file systems to make images of, without any download."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

OS_RELEASE = 'ID=toybox\nPRETTY_NAME="Toybox 1.0 (made by a test)"\nVERSION_ID=1.0\n'


def busybox() -> Path:
    """The machine's statically linked busybox."""
    found = shutil.which("busybox", path=os.environ["PATH"] + ":/bin:/usr/bin")
    assert found, "busybox is missing: install busybox-static (./dev setup does)"
    return Path(found)


def make_busybox_root(directory: Path) -> Path:
    """Fills ``directory`` with a root file system of its own: busybox, its applets, a passwd file, /etc/os-release."""
    for name in ("bin", "etc", "root", "tmp", "usr/bin", "var", "home/alice", "www"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "tmp").chmod(0o1777)
    shutil.copy(busybox(), directory / "bin/busybox")
    applets = subprocess.run([str(busybox()), "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        link = directory / "bin" / applet
        if applet != "busybox" and not link.exists():
            link.symlink_to("busybox")
    (directory / "usr/bin/env").symlink_to("../../bin/busybox")
    (directory / "etc/os-release").write_text(OS_RELEASE)
    (directory / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:\nalice:x:1000:\nstaff:x:50:alice\n")
    os.chown(directory / "home/alice", 1000, 1000)
    return directory


def make_tar(directory: Path, target: Path) -> Path:
    """The tree below ``directory`` as an uncompressed tar with numeric owners."""
    with tarfile.open(target, "w") as archive:
        archive.add(directory, arcname=".")
    return target
