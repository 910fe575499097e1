"""A machine that cannot do what is needed: said in one sentence, and nothing half-made stays behind."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import stackup_command
from tests.support.mounting import unmounted
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
    unmounted(base / "root")


def test_a_state_directory_on_overlayfs(scenario: Scenario, overlay_root: Path) -> None:
    scenario.compose("services: {web: {image: host, command: sleep 1000}}")
    done = scenario.stackup("up", "-d", env={"STACKUP_ROOT": str(overlay_root)})
    done.refused("overlay", "STACKUP_ROOT")
    eventually(lambda: not list(overlay_root.glob("lib/projects/*")), "no project is left")
    eventually(lambda: not Scenario(overlay_root, scenario.directory).processes(), "no process is left")


def test_an_ordinary_user_is_told_the_command_that_works(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}}")
    (scenario.directory / "compose.yaml").chmod(0o644)
    asked = [*stackup_command(), "up", "-d"]
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", *asked],
        cwd=scenario.directory,
        env=scenario.stackup.env(),
        capture_output=True,
        text=True,
    )
    told = done.stderr.rpartition("hint: run: sudo ")[2].strip()
    assert (done.returncode, done.stderr.partition(":")[0]) == (1, "error"), done.stderr
    environment = {"PATH": os.environ["PATH"], "HOME": scenario.stackup.env()["HOME"]}  # what sudo leaves
    subprocess.run(["env", *shlex.split(told)], cwd=scenario.directory, env=environment, check=True)
    scenario.has_state("web", "running")


def test_nothing_is_left_of_a_container_that_cannot_start(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, command: [no-such-command]}}")
    scenario.stackup("up", "-d").refused("no-such-command", "shop-web-1 was removed again: nothing of the project runs")
    assert scenario.ps("-a") == []


def test_a_successor_that_cannot_start_stays_to_be_looked_at(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, command: [sleep, '1000'], stop_signal: SIGKILL}}")
    scenario.stackup("up", "-d").ok()
    scenario.replace("sleep", "no-such-command")
    done = scenario.stackup("up", "-d").refused("no-such-command")
    assert "removed again" not in done.err
    (row,) = scenario.ps("-a")
    assert (row["State"], row["ExitCode"]) == ("exited", 127)
    assert "no-such-command" in row["Notice"]
    assert "shop-web-1 has printed nothing: cannot start" in scenario.stackup("logs").ok().err
    assert "it exited with code 127" in scenario.stackup("plan").says_changes().out
