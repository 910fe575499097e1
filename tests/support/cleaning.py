"""Takes away what a failed test left, so that the next test starts clean. Touches only what ``residue`` finds."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.support import residue
from tests.support.isolation import why_not_isolated
from tests.support.waiting import gone


def clean(watch: residue.Watch) -> None:
    """Everything that has come since ``watch`` was taken; then the root's projects and run directory."""
    kill_all(watch.root)
    for path in residue.cgroups(watch.root):
        with suppress(OSError):
            path.rmdir()
    unmount_all(watch.root)
    if not why_not_isolated():
        clean_network(watch)
    for name in ("run", "lib/projects"):
        shutil.rmtree(watch.root / name, ignore_errors=True)


def kill_all(root: Path) -> None:
    """Launchers first, or they would restart what they guard; again until none appears."""
    for _ in range(5):
        found = [process for process in residue.all_processes() if residue.belongs(process.pid, root)]
        if not found:
            return
        for process in sorted(found, key=lambda process: " launcher " not in process.command):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        for process in found:
            gone(process.pid)


def unmount_all(root: Path) -> None:
    points = [text.removesuffix(" here") for text in residue.mounts(root) if text.endswith(" here")]
    for point in sorted(points, key=len, reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def clean_network(watch: residue.Watch) -> None:
    """Links, nft tables, rules, sysctls of this network namespace. Never called in the machine's own one."""
    for item in watch.left():
        match item.kind:
            case "link":
                command = ["ip", "link", "delete", item.what.split()[0]]
            case "table":
                command = ["nft", "delete", "table", *item.what.split()]
            case "rule" if item.what.startswith("nft "):
                command = ["nft", "delete", "rule", *item.what.removeprefix("nft ").split()]
            case "rule":
                tool, _, table, *rest = shlex.split(item.what)
                command = [tool, "-t", table, "-D", *rest[1:]]
            case "sysctl":
                name = item.what.split(":")[0]
                Path("/proc/sys", name.replace(".", "/")).write_text(watch.sysctls[name])
                continue
            case _:
                continue
        subprocess.run(command, check=False, capture_output=True)
