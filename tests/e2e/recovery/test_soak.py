"""Random kills, edits and commands against a stack with postgres in it: no row that was acknowledged is ever lost.

A minute here, as long as one likes with ``./dev soak SECONDS``.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.scenario import Scenario
from tests.support.soaking import soak

SECONDS = float(os.environ.get("STACKUP_SOAK_SECONDS", "60"))
pytestmark = [pytest.mark.root, pytest.mark.timeout(int(SECONDS) + 300)]


@pytest.fixture
def with_postgres(
    empty_scenario: Scenario, prebuilt_images: Path, busybox_tar: Path, project_directory: Path
) -> Scenario:
    """In a state root that has postgres as an image."""
    source, target = str(prebuilt_images / "lib"), str(empty_scenario.root / "lib")
    if subprocess.run(["cp", "-al", source, target], capture_output=True, check=False).returncode != 0:
        shutil.rmtree(target, ignore_errors=True)  # on another file system
        subprocess.run(["cp", "-a", source, target], check=True)
    empty_scenario.stackup("import", "-q", str(busybox_tar), "busybox").ok()
    return empty_scenario


def test_no_acknowledged_row_is_lost(with_postgres: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("STACKUP_SOAK_SEED") or random.SystemRandom().randrange(10**6))
    lines: list[str] = []
    try:
        soak(with_postgres, SECONDS, seed, lines.append)
    finally:
        with capsys.disabled():
            print("\n" + "".join(lines))
