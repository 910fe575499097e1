"""Run inside the machine, twice: before its reboot and after. A project with a systemd unit comes back as it was.

Not a pytest module: what is tested lives longer than a process could. Everything is checked with ``assert``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.cli import stackup_command
from tests.support.rootfs import make_busybox_root

PLACE = Path("/var/tmp/shop")
STAGE = Path("/var/tmp/stage")
UNIT = "stackup-shop.service"
PATIENCE = 300  # seconds; the machine is emulated
STACK = """
services:
  web: {image: busybox, command: "sh -c 'date >> /data/starts; exec sleep 100000'", restart: always,
        stop_signal: SIGKILL, volumes: ["data:/data"]}
  idle: {image: busybox, command: sleep 100000, restart: unless-stopped, stop_signal: SIGKILL}
  once: {image: busybox, command: sleep 100000, stop_signal: SIGKILL}
volumes: {data: {}}
"""


def run(*words: str) -> str:
    done = subprocess.run(words, cwd=PLACE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def stackup(*words: str) -> str:
    return run(*stackup_command(), *words)


def rows() -> dict[str, Any]:
    found = [json.loads(line) for line in stackup("ps", "-a", "--format", "json").splitlines()]
    return {row["Service"]: row for row in found}


def states() -> dict[str, str]:
    return {name: row["State"] for name, row in rows().items()}


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def starts() -> int:
    return len(Path("/var/lib/stackup/volumes/shop_data/_data/starts").read_text().splitlines())


def before() -> None:
    """Installs, starts through the unit, stops one service by hand, and reboots."""
    PLACE.mkdir()
    make_busybox_root(Path("/var/tmp/busybox"))
    (PLACE / "compose.yaml").write_text(STACK)
    stackup("import", "-q", "/var/tmp/busybox", "busybox")
    print(stackup("systemd", "install", "--now"))
    print(run("systemd-analyze", "verify", f"/etc/systemd/system/{UNIT}") or "verified")
    assert run("systemctl", "is-active", UNIT) == "active"
    assert states() == dict.fromkeys(("web", "idle", "once"), "running")
    run("systemctl", "daemon-reload")
    stackup("stop", "idle")
    STAGE.write_text(f"{boot_id()} {rows()['web']['ID']} {starts()}")
    print("rebooting", flush=True)
    run("systemctl", "reboot")
    time.sleep(PATIENCE)


def after() -> None:
    old_boot, web, times = STAGE.read_text().split()
    assert boot_id() != old_boot
    deadline = time.monotonic() + PATIENCE
    while (state := run("systemctl", "show", "-P", "ActiveState", UNIT)) != "active":
        assert state != "failed" and time.monotonic() < deadline, run("journalctl", "-b", "-u", UNIT)
        time.sleep(1)
    assert states() == {"web": "running", "idle": "exited", "once": "exited"}, states()
    assert rows()["web"]["ID"] == web, "the same container"
    assert rows()["web"]["ExitUnknown"] is False, "it was stopped in order, not killed with the machine"
    assert starts() == int(times) + 1
    run("systemctl", "stop", UNIT)
    assert states()["web"] == "exited"
    run("systemctl", "start", UNIT)
    assert states()["web"] == "running"
    print(stackup("systemd", "status"), stackup("systemd", "remove"), sep="\n")
    assert not Path(f"/etc/systemd/system/{UNIT}").exists()
    assert states()["web"] == "running", "taking the unit away stops nothing"
    stackup("down", "--all", "--purge", "--yes")
    assert not list(Path("/sys/fs/cgroup").glob("stackup*")) and not Path("/var/lib/stackup").exists()
    print("over a reboot: 1 passed")


if __name__ == "__main__":
    sys.path.insert(0, ".")
    after() if STAGE.exists() else before()
