"""A disk that takes nothing for a while: the container waits in write(2), and not a line is lost."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import residue
from tests.support.scenario import Scenario
from tests.support.waiting import eventually, gone

pytestmark = pytest.mark.root

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878  # linux/fs.h


@pytest.fixture
def disk(state_root: Path, tmp_path: Path) -> Iterator[Path]:
    """The state root on a disk of its own, which can be frozen."""
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(256 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(state_root)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"there is no loop device with ext4 here, a stalled disk is NOT tested: {error}")
    (state_root / "lost+found").rmdir()
    yield state_root
    subprocess.run(["umount", "--lazy", str(state_root)], check=False, capture_output=True)


@contextmanager
def frozen(directory: Path) -> Iterator[None]:
    """Whoever writes there waits, and cannot even be killed."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(fd, FIFREEZE, 0)
        try:
            yield
        finally:
            fcntl.ioctl(fd, FITHAW, 0)
    finally:
        os.close(fd)


def waits_in_write(pid: int) -> bool:
    """The process, or a child of it, waits for room in its output."""
    family = [str(pid), *residue.read(f"/proc/{pid}/task/{pid}/children").split()]
    return any("pipe_write" in residue.read(f"/proc/{member}/wchan") for member in family)


def test_a_stalled_disk_is_back_pressure_not_loss(disk: Path, scenario: Scenario) -> None:
    """The supervisor is killed meanwhile: its successor goes on as soon as the disk does."""
    (scenario.directory / "shared").mkdir()
    os.mkfifo(scenario.directory / "shared/go")
    scenario.compose("""
        services:
          printer:
            image: busybox
            command: [sh, -c, "read go < /shared/go; seq 300000; echo end; exec sleep 1000"]
            volumes: ["./shared:/shared"]
            stop_signal: SIGKILL
        """)
    scenario.stackup("up", "-d").ok()
    supervisor, printer = scenario.daemon("supervisor"), scenario.pid("printer")
    with frozen(disk):
        with (scenario.directory / "shared/go").open("w") as go:
            go.write("go\n")
        eventually(lambda: waits_in_write(printer), "it waits in write")
        os.kill(supervisor, signal.SIGKILL)
    gone(supervisor)
    eventually(lambda: scenario.logs("-n", "1", "printer").strip() == "end", "the last line", 30)
    assert scenario.logs("printer").split() == [*map(str, range(1, 300001)), "end"]
    assert scenario.pid("printer") == printer
