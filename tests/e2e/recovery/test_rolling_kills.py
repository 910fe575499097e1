"""Kills in the middle of a rolling update: the next ``up`` brings it to its end, and ``down`` leaves nothing. What does
not work never takes down more than a batch, whoever cuts it short.

Each boundary of one update of two containers, one after the other on the same stack: what a kill leaves is what the
next update begins with. ``./dev faults`` strikes at all of them; the usual run at some, drawn with a printed seed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from tests.support.faults import Faults, seed
from tests.support.residue import Watch, cgroups, read
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


BAD = """
    services:
      web:
        image: busybox
        command: ["sh", "-c", "case $$V in bad*) sleep 0.3; exit 7;; esac; exec sleep 1000"]
        stop_signal: SIGKILL
        environment: {V: "base"}
        deploy:
          replicas: 4
          update_config: {parallelism: 1, monitor: 1s, order: ORDER, failure_action: rollback}
    """


def running(scenario: Scenario) -> dict[str, str]:
    """Containers that run, with their host processes."""
    ids = [str(row["ID"])[:12] for row in scenario.ps() if row["State"] == "running"]
    groups = [str(group) for group in cgroups(scenario.root)]
    return {one: read(f"{next(group for group in groups if one in group)}/cgroup.procs").strip() for one in ids}


def killed(scenario: Scenario, whom: str, at: str) -> None:
    faults = Faults(scenario)
    faults.arm(whom, at)
    done = scenario.stackup("up", "-d")
    assert faults.struck(), f"{at} never came"
    assert "rolled back" in done.refused("shop-web-1").err, str(done)


def interrupted(scenario: Scenario) -> None:
    live = scenario.start("up", "-d")
    live.shows("web-1: started")
    live.send()
    live.ends()
    scenario.stackup("up", "-d").refused("shop-web-1")


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_a_bad_version_that_is_cut_short(scenario: Scenario, order: str) -> None:
    """By kills, and by Ctrl-C."""
    cuts: dict[str, list[Callable[[], None]]] = {
        "start-first": [
            lambda: killed(scenario, "supervisor", "after start container shop-web-1"),
            lambda: interrupted(scenario),
        ],
        "stop-first": [
            lambda: killed(scenario, "all", "before watch container shop-web-1 for 1 s, roll back if it fails"),
            lambda: killed(scenario, "supervisor", "after record shop-web-1 exited"),
        ],
    }
    Faults(scenario)  # before the first command
    scenario.compose(BAD.replace("ORDER", order))
    scenario.stackup("up", "-d").ok()
    version = "base"
    for index, cut in enumerate(cuts[order]):
        before = running(scenario)
        scenario.replace(f'"{version}"', f'"bad{index}"')
        version = f"bad{index}"
        cut()
        after = running(scenario)
        lasted = [one for one in before if before[one] == after.get(one)]
        assert len(lasted) >= (3 if order == "stop-first" else 4), f"cut {index}: {before} {after}"
        assert len(scenario.ps("-a")) == 4
