"""``python -m tests.registry make DIRECTORY``: builds the stand-ins and stores them there, once.
``python -m tests.registry with DIRECTORY COMMAND...``: serves them while a command runs that finds docker.io there.
``python -m tests.registry serve DIRECTORY PORT``: serves them until it is ended."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.registry.server import MARK, serving, stored
from tests.support.cli import stackup_command
from tests.support.rootfs import make_busybox_root, make_tar

HERE = Path(__file__).parent
BASE = "debian:bookworm-slim"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# As in the official image: no copies of packages and lists, no documentation.
SMALL_APT = (
    'Dir::Cache::pkgcache ""',
    'Dir::Cache::srcpkgcache ""',
    'DPkg::Post-Invoke {"rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb || true"}',
    'Acquire::Languages "none"',
)
SMALL_DPKG = ("path-exclude=/usr/share/man/*", "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/locale/*")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def main(argv: list[str]) -> int:
    match argv:
        case ["make", directory]:
            make(Path(directory).absolute())
        case ["with", directory, *command] if command:
            return run_with(Path(directory).absolute(), command)
        case ["serve", directory, port]:
            serve(Path(directory).absolute(), int(port))
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


def made_from() -> str:
    """The stand-ins' sources, in short: made anew when they change."""
    state = hashlib.sha256()
    for path in sorted(HERE.rglob("*")):
        if path.is_file() and path.suffix != ".pyc" and path.name != "server.py":
            state.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes())
    return state.hexdigest()


def make(directory: Path) -> None:
    if stored(directory) and (directory / MARK).read_text() == made_from():
        return
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARK).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="sk", dir="/tmp") as work:
        root = Path(work, "root")
        bring_in_bases(Path(work), root)
        stackup(root, "-f", str(HERE / "compose.yaml"), "build")
        with serving(directory) as registry:
            publish(root, registry.host)
        stackup(root, "down", "--all", "--purge", "-y")
    (directory / MARK).write_text(made_from())


def bring_in_bases(work: Path, root: Path) -> None:
    """Debian's smallest system with this machine's certificates, and busybox."""
    base = work / "base.tar"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", f"--keyring={KEYRING}"]
    if CERTIFICATES.exists():  # a machine behind an inspecting proxy trusts more than Debian does
        command.append(f"--customize-hook=copy-in {CERTIFICATES} {CERTIFICATES.parent}")
    command += [f"--aptopt={option}" for option in SMALL_APT] + [f"--dpkgopt={option}" for option in SMALL_DPKG]
    command += ["bookworm", str(base)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    stackup(root, "import", "-q", str(base), BASE)
    box = make_tar(make_busybox_root(work / "busybox"), work / "busybox.tar")
    for name in ("busybox:latest", "busybox:1.36"):
        stackup(root, "import", "-q", str(box), name)


def publish(root: Path, host: str) -> None:
    """By skopeo, so that what is pulled later was not pushed by the code under test."""
    store = root / "lib/images"
    names = [
        item.get("annotations", {}).get("org.opencontainers.image.ref.name", "")
        for item in json.loads((store / "index.json").read_bytes())["manifests"]
    ]
    for name in filter(None, names):
        short = name.removeprefix("docker.io/")
        subprocess.run(
            ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{store}:{name}", f"docker://{host}/{short}"],
            check=True,
        )


def stackup(root: Path, *arguments: str) -> None:
    environment = {**os.environ, "STACKUP_ROOT": str(root)}
    subprocess.run([*stackup_command(), *arguments], check=True, env=environment, stdin=subprocess.DEVNULL)


def run_with(directory: Path, command: list[str]) -> int:
    check(directory)
    with serving(directory) as registry:
        return subprocess.run(command, env={**os.environ, **registry.environment}).returncode


def check(directory: Path) -> None:
    if not stored(directory):
        raise SystemExit(
            f"there are no images in {directory}; make them first: python -m tests.registry make DIRECTORY"
        )
    if not shutil.which("docker-registry"):
        raise SystemExit("cannot serve: docker-registry is not installed")


def serve(directory: Path, port: int) -> None:
    check(directory)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit())  # the registry and its settings go, too
    with serving(directory, port) as registry:
        print(f"serving docker.io's stand-ins at {registry.host}", flush=True)
        print(f"CONTAINERS_REGISTRIES_CONF={registry.settings}", flush=True)
        signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
