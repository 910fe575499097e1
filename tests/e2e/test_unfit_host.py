"""A machine that cannot do what is needed: said in one sentence, and nothing half-made stays behind."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


@pytest.fixture
def overlay_root(short_directory: Path) -> Iterator[Path]:
    """A directory on overlayfs, as everything inside a CI container is."""
    base = short_directory / "ov"
    for name in ("lower", "upper", "work", "root"):
        (base / name).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, base / "root"], check=True)
    yield base / "root"
    subprocess.run(["umount", base / "root"], check=True)


def test_a_state_directory_on_overlayfs(scenario: Scenario, overlay_root: Path) -> None:
    scenario.compose("services: {web: {image: host, command: sleep 1000}}")
    done = scenario.stackup("up", "-d", env={"STACKUP_ROOT": str(overlay_root)})
    done.refused("overlay", "STACKUP_ROOT")
    eventually(lambda: not list(overlay_root.glob("lib/projects/*")), "no project is left")
    eventually(lambda: not Scenario(overlay_root, scenario.directory).processes(), "no process is left")


def test_nothing_is_left_of_a_container_that_cannot_start(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, command: [no-such-command]}}")
    scenario.stackup("up", "-d").refused("no-such-command")
    assert scenario.ps("-a") == []
