"""The first example of the README, typed word for word."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cli import stackup_command
from tests.support.documents import TREE, block_after, stack_files
from tests.support.scenario import Scenario

pytestmark = pytest.mark.root


@pytest.fixture
def shims(short_directory: Path) -> Path:
    """``stackup`` as if it were installed, and a ``sudo`` for those who are root already."""
    directory = short_directory / "shims"
    directory.mkdir(exist_ok=True)
    for name, command in (("stackup", " ".join(stackup_command())), ("sudo", "")):
        (directory / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (directory / name).chmod(0o755)
    return directory


def test_the_first_example_is_true(empty_scenario: Scenario, shims: Path) -> None:
    text = (TREE / "README.md").read_text()
    fence = stack_files(text)[0]
    empty_scenario.compose(fence)
    environment = empty_scenario.stackup.env()
    environment["PATH"] = f"{shims}:{environment['PATH']}"
    said = {}
    for line in block_after(text, fence):
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=empty_scenario.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert "warning" not in done.stderr, f"{line}\n{done.stderr}"
        said[line.removeprefix("sudo ")] = done.stdout
    assert said["stackup logs visitor"] == "visitor-1  | hello\n"
    assert said["stackup plan"] == "shop: nothing to do\n"
    assert "stackup down -v" in said
