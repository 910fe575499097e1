"""The stackup that runs is not the one that is asked: its program was deleted, or its records are an older one's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from stackup.engine.records import Definition, State
from tests.support.cli import TREE, Cli
from tests.support.residue import Watch
from tests.support.scenario import Scenario
from tests.support.waiting import gone

pytestmark = pytest.mark.root

STACK = """
    services:
      web: {image: busybox, command: [sh, -c, "echo one; exec sleep 1000"], restart: always, stop_signal: SIGKILL}
    """


@pytest.fixture
def installation(scenario: Scenario) -> Iterator[Path]:
    """Another place that stackup can be run from."""
    place = scenario.directory.parent / "installed"
    shutil.copytree(TREE / "stackup", place / "stackup")  # compiled files, too
    yield place
    shutil.rmtree(place, ignore_errors=True)


def test_a_deleted_program_is_replaced_by_that_of_the_next_command(
    scenario: Scenario, nothing_left: Watch, installation: Path
) -> None:
    scenario.compose(STACK)
    Cli(scenario.root, scenario.directory, {"PYTHONPATH": str(installation)})("up", "-d").ok()
    web, launcher = scenario.pid("web"), scenario.daemon("launcher")
    shutil.rmtree(installation)
    assert scenario.pid("web") == web, "the container runs on"
    assert scenario.daemon("launcher") != launcher
    scenario.stackup("down").ok()
    nothing_left.assert_nothing_left()


def test_its_supervisor_is_dead_too(scenario: Scenario, nothing_left: Watch, installation: Path) -> None:
    """The launcher has nothing to start another one with."""
    scenario.compose(STACK)
    Cli(scenario.root, scenario.directory, {"PYTHONPATH": str(installation)})("up", "-d").ok()
    shutil.rmtree(installation)
    scenario.kill_daemon("supervisor")
    scenario.stackup("down").ok()
    nothing_left.assert_nothing_left()


def test_records_of_an_older_stackup_are_read(scenario: Scenario) -> None:
    """Older ones lack what was added since; each field of it has a default."""
    scenario.compose(STACK)
    scenario.stackup("up", "-d").ok()
    web = scenario.pid("web")
    pids = [scenario.daemon(kind) for kind in ("supervisor", "launcher")]
    for signum in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, signum)
    for pid in pids:
        gone(pid)
    since = {
        "definition": ("inherits", "parent", "step", "per_replica"),
        "state": ("updating", "due_ns", "runs", "prepared", "post_start_due"),
    }
    known: dict[str, Any] = {"definition": Definition, "state": State}
    with sqlite3.connect(scenario.root / "lib/projects/shop/records.db") as records:
        for column, names in since.items():
            assert set(names) <= {item.name for item in fields(known[column])}
            for identity, text in records.execute(f"SELECT id, {column} FROM containers").fetchall():
                older = {key: value for key, value in json.loads(text).items() if key not in names}
                records.execute(f"UPDATE containers SET {column} = ? WHERE id = ?", (json.dumps(older), identity))
    records.close()
    assert scenario.state("web") == "running"
    scenario.stackup("up", "-d").ok()
    assert scenario.pid("web") == web
