"""Kills in the middle of a rolling update: the next ``up`` brings it to its end, and ``down`` leaves nothing.

Each boundary of one update of two containers, one after the other on the same stack: what a kill leaves is what the
next update begins with. ``./dev faults`` strikes at all of them; the usual run at some, drawn with a printed seed.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.support.faults import Faults, seed
from tests.support.residue import Watch
from tests.support.scenario import Scenario

pytestmark = pytest.mark.root

FULL = bool(os.environ.get("STACKUP_FAULTS_FULL"))
SAMPLE = 2
STACK = """
    services:
      web:
        image: busybox
        command: sleep 1000
        stop_signal: SIGKILL
        environment: {GENERATION: "0"}
        deploy: {replicas: 2, update_config: {parallelism: 1, monitor: 10ms, order: ORDER}}
    """


class Updates:
    """``generation`` counts the updates that were asked for."""

    def __init__(self, scenario: Scenario, order: str) -> None:
        self.faults = Faults(scenario)
        self.generation = 0
        self._scenario = scenario
        scenario.compose(STACK.replace("ORDER", order))
        scenario.stackup("up", "-d").ok()

    def edit(self) -> None:
        self._scenario.replace(f'"{self.generation}"', f'"{self.generation + 1}"')
        self.generation += 1

    def boundaries(self) -> list[str]:
        """Of an update in which nobody is killed."""
        self.edit()
        self.faults.watch()
        self._scenario.stackup("up", "-d").ok()
        return self.faults.instants()

    def strike(self, whom: str, at: str) -> bool:
        """Whether the instant came. Then the update is asked for once more, and must be done."""
        self.edit()
        self.faults.arm(whom, at)
        struck = self._scenario.stackup("up", "-d")
        assert "Traceback" not in struck.err, str(struck)
        came = self.faults.struck()
        self._scenario.stackup("up", "-d").ok()
        rows = self._scenario.ps("-a")
        assert sorted((row["Name"], row["State"]) for row in rows) == [
            ("shop-web-1", "running"),
            ("shop-web-2", "running"),
        ], rows
        for index in ("1", "2"):
            done = self._scenario.stackup("exec", "-T", "--index", index, "web", "sh", "-c", "echo $GENERATION").ok()
            assert done.out.strip() == str(self.generation)
        assert self._scenario.stackup("plan").ok().out.strip() == "shop: nothing to do"
        return came


@pytest.mark.timeout(2000 if FULL else 120)
@pytest.mark.parametrize("whom", ["supervisor", "all"])
@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_a_kill_within_a_rolling_update(scenario: Scenario, nothing_left: Watch, order: str, whom: str) -> None:
    updates = Updates(scenario, order)
    names = updates.boundaries()
    chosen = names if FULL else random.Random(seed()).sample(names, SAMPLE)
    came = 0
    for at in chosen:
        try:
            came += updates.strike(whom, at)
        except AssertionError as error:
            raise AssertionError(f"{whom} killed at: {at}: {error}") from None
    print(f"{whom}, {order}: struck at {came} of {len(names)} boundaries")
    scenario.stackup("down", "-v", "-t", "0").ok()
    nothing_left.assert_nothing_left(10)
