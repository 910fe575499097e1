"""Makes the machine: a Debian userland with Python and the tools of the tests, a kernel, a small initial file system.

Kept below the user's cache directory under a hash of all that goes into it; the tree under test is not part of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.vm.initramfs import make_initramfs

TREE = Path(__file__).resolve().parents[2]
MIRROR = os.environ.get("STACKUP_VM_MIRROR", "http://deb.debian.org/debian")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
TOOLS = {"mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs", "dpkg-deb": "dpkg"}
PACKAGES = (
    *("python3", "libnftables1", "libseccomp2", "nftables", "iptables", "iproute2", "busybox-static", "crun"),
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "kmod", "procps", "util-linux", "mount"),
)
TEST_REQUIREMENTS = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis")
LEFT_OUT = ("doc", "man", "locale", "info", "zoneinfo")
# Bump when what this file does to the image changes.
FORMAT = 1

# The kernel without its dependencies: they only make a Debian initramfs, and ours is smaller.
ADD_KERNEL = """
package=$(chroot "$1" apt-cache depends --no-recommends %s | sed -n 's/^ *Depends: //p' | head -n 1)
cd "$1/tmp"
chroot "$1" sh -ec "cd /tmp && apt-get -o APT::Sandbox::User=root download $package"
dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x --keep-directory-symlink -C "$1"
rm linux-image-*.deb
chroot "$1" sh -ec 'for version in /lib/modules/*; do depmod "${version##*/}"; done'
"""


class VmUnavailable(Exception):
    """This machine cannot make or run the virtual machine; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Recipe:
    suite: str
    python: str
    kernel: str = "linux-image-cloud-amd64"

    def key(self) -> str:
        parts = [FORMAT, asdict(self), PACKAGES, requirements(), LEFT_OUT, ADD_KERNEL, MIRROR]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


# Kernel 6.1 is the reason for all this; 6.12 has lowerdir+ and cgroup v2, but no exit statuses from pidfds.
RECIPES = {"debian12": Recipe("bookworm", "3.11"), "debian13": Recipe("trixie", "3.13")}


@dataclass(frozen=True, slots=True)
class Image:
    root: Path
    kernel: Path
    initramfs: Path


def requirements() -> list[str]:
    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *TEST_REQUIREMENTS]


def cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "stackup", "vm")


def image(name: str) -> Image:
    """The image of that name; it must have been made before."""
    directory = _directory(name)
    if not directory.is_dir():
        raise VmUnavailable(f"there is no image {name} in {directory.parent}; ./dev vm makes it")
    return Image(directory / "root.img", directory / "vmlinuz", directory / "initramfs")


def make_image(name: str, say: Callable[[str], None]) -> None:
    """Makes it when it is not there yet (two to four minutes, 150 MB of downloads)."""
    directory = _directory(name)
    if directory.is_dir():
        return
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if missing or not Path(KEYRING).exists():
        raise VmUnavailable(f"missing here: {' '.join(missing or ['debian-archive-keyring'])} (Debian's names)")
    if os.geteuid() != 0:
        raise VmUnavailable("root is needed to make the image")
    say(f"making the image {name} ({RECIPES[name].suite}); it is kept in {directory}")
    _make(RECIPES[name], directory)


def _directory(name: str) -> Path:
    return cache_directory() / f"{name}-{RECIPES[name].key()}"


def _make(recipe: Recipe, directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{directory.name}.", dir=directory.parent))
    work.chmod(0o755)
    try:
        root = work / "root"
        _bootstrap(recipe, root)
        _add_python(recipe, root)
        for kernel in (root / "boot").glob("vmlinuz-*"):
            shutil.copy(kernel, work / "vmlinuz")
        make_initramfs(root, work / "initramfs")
        _run("mkfs.ext4", "-q", "-d", root, "-L", "root", "-E", "lazy_itable_init=1", work / "root.img", "3G")
        shutil.rmtree(root)
        work.rename(directory)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _bootstrap(recipe: Recipe, root: Path) -> None:
    hook = root.with_name("add-kernel")
    hook.write_text(f"#!/bin/sh\nset -e\n{ADD_KERNEL % recipe.kernel}")
    hook.chmod(0o755)
    _run(
        *("mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT),
        f"--customize-hook={hook}",
        *(recipe.suite, root, f"deb [signed-by={KEYRING}] {MIRROR} {recipe.suite} main"),
    )
    (root / "etc/hostname").write_text("vm\n")
    (root / "etc/fstab").write_text("")
    # Otherwise systemd takes this for a first boot and asks questions.
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")


def _add_python(recipe: Recipe, root: Path) -> None:
    """A virtual environment with what the project needs, filled from outside: the machine has no network."""
    _run("chroot", root, "python3", "-m", "venv", "--without-pip", "/opt/venv")
    site = root / f"opt/venv/lib/python{recipe.python}/site-packages"
    _run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--target", site, "--only-binary=:all:"),
        *("--implementation", "cp", "--python-version", recipe.python),
        *(f"--platform=manylinux_2_{minor}_x86_64" for minor in (17, 28)),
        "--platform=manylinux2014_x86_64",
        *requirements(),
    )
    (site / "stackup-tree.pth").write_text("/srv/stackup\n")
    command = root / "opt/venv/bin/stackup"
    command.write_text("#!/opt/venv/bin/python\nfrom stackup.__main__ import main\n\nraise SystemExit(main())\n")
    command.chmod(0o755)
    _run("chroot", root, "/opt/venv/bin/python", "-m", "compileall", "-q", f"/{site.relative_to(root)}")


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise VmUnavailable(f"{' '.join(map(str, command))}: {(done.stdout + done.stderr)[-2000:]}")
