"""Kills at every boundary of up, recreate and down: the next command converges, and nothing is left at the end.

``./dev faults`` does each of them alone, for the supervisor, the launcher, and both. The usual run kills the supervisor
and both at each boundary of an action, one after the other before the command may succeed; and whom it is told to at
some of the rest (the launcher alone, and around the writing of records), drawn with a printed seed.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from itertools import cycle

import pytest

from tests.support import residue
from tests.support.faults import KILLS, Faults, seed
from tests.support.residue import Watch
from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

FULL = bool(os.environ.get("STACKUP_FAULTS_FULL"))
SAMPLE = 4  # of a stage, of what is not struck throughout
# Whose turn it is at one boundary after the other. A launcher waits ever longer before it starts another supervisor, so
# that it is quicker to take it away in between.
WAYS = [(whom,) for whom in KILLS] if FULL else [("supervisor", "all"), ("all", "supervisor"), ("launcher",)]
STACK = """
    x-base: &base {image: busybox, command: sleep 1000, stop_signal: SIGKILL, environment: {GENERATION: "0"}}
    services:
      db: {<<: *base, volumes: ["data:/data"]}
      cache: {<<: *base}
      app: {<<: *base, depends_on: [db, cache]}
      web: {<<: *base, depends_on: [app], ports: ["8080:80"]}
      job: {<<: *base, depends_on: [db], restart: always}
    volumes: {data: {}}
    """
SERVICES = {"db", "cache", "app", "web", "job"}


class Rounds:
    """One stack taken up, recreated and taken down, again and again."""

    def __init__(self, scenario: Scenario, watch: Watch) -> None:
        self.faults = Faults(scenario)
        self.generation = 0
        self.victims: dict[str, str] = {}  # who dies at which boundaries of the next stage
        self.done: list[str] = []  # those that came
        self._scenario = scenario
        self._watch = watch
        scenario.compose(STACK)

    def stages(self) -> dict[str, Callable[[], None]]:
        return {"up": self.up, "recreate": self.recreate, "down": self.down}

    def up(self) -> None:
        self._until_done("up", "-d")
        self._is_up()

    def recreate(self) -> None:
        self.generation += 1
        self._scenario.replace(f'"{self.generation - 1}"', f'"{self.generation}"')
        self._until_done("up", "-d")
        self._is_up()

    def down(self) -> None:
        self._until_done("down", "-v", "-t", "0")
        self._watch.assert_nothing_left(10)

    def _until_done(self, *command: str) -> None:
        """Struck at the chosen boundaries, as far as they come; then it must do what it says, whatever there is."""
        before, left = None, list(self.victims)
        if left:
            self.faults.arm_all(self.victims)
        while left and left != before:
            struck = self._scenario.stackup(*command)
            assert "Traceback" not in struck.err, str(struck)
            before, left = left, self.faults.armed()
        if left:
            self.faults.struck()
        self.done = [at for at in self.victims if at not in left]
        self._scenario.stackup(*command).ok()

    def _is_up(self) -> None:
        rows = self._scenario.ps("-a")
        assert {row["Service"]: row["State"] for row in rows} == dict.fromkeys(SERVICES, "running"), rows
        assert len(rows) == len(SERVICES), rows
        eventually(lambda: len(self._groups()) == len(SERVICES), f"a cgroup a service: {self._groups()}", 3)
        for group in self._groups():
            pids = residue.read(f"{group}/cgroup.procs").split()
            assert len(pids) == 1, f"{len(pids)} processes in {group}"
            assert f"GENERATION={self.generation}" in residue.read(f"/proc/{pids[0]}/environ").split("\0")

    def _groups(self) -> set[str]:
        """Of containers, in the hierarchy that has most of them."""
        found = [str(path) for path in residue.cgroups(self._scenario.root) if len(path.name) == 12]
        by_mount: dict[str, set[str]] = {}
        for path in found:
            by_mount.setdefault(path.split("/stackup/")[0], set()).add(path)
        return max(by_mount.values(), key=len, default=set())


@pytest.fixture
def rounds(scenario: Scenario, nothing_left: Watch) -> Rounds:
    return Rounds(scenario, nothing_left)


@pytest.fixture
def boundaries(rounds: Rounds) -> dict[str, list[str]]:
    """Of each stage, from a round in which nobody is killed."""
    found = {}
    for name, stage in rounds.stages().items():
        rounds.faults.watch()
        stage()
        found[name] = rounds.faults.instants()
    return found


def choose(names: list[str], way: tuple[str, ...], draw: random.Random) -> dict[str, str]:
    """Who is to be killed at which boundaries of a stage."""
    if FULL:
        chosen = set(names)
    else:
        always = [] if way == ("launcher",) else [name for name in names if " record " not in name]
        others = [name for name in names if name not in always]
        chosen = {*always, *draw.sample(others, SAMPLE)}
    return dict(zip((name for name in names if name in chosen), cycle(way), strict=False))


@pytest.mark.timeout(7000 if FULL else 400)
@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_a_kill_at_any_boundary(rounds: Rounds, boundaries: dict[str, list[str]], way: tuple[str, ...]) -> None:
    draw, began, came = random.Random(seed()), time.monotonic(), 0
    left = {stage: choose(names, way, draw) for stage, names in boundaries.items()}
    chosen, total = sum(map(len, left.values())), sum(map(len, boundaries.values()))
    while any(left.values()):
        for stage, victims in left.items():
            rounds.victims = dict(list(victims.items())[: 1 if FULL else None])
            try:
                rounds.stages()[stage]()
            except AssertionError as error:
                raise AssertionError(f"killed during {stage}: {rounds.victims}: {error}") from None
            came += len(rounds.done)
            # One that did not come (another was in its way) has its turn again, unless none came.
            for name in rounds.done or rounds.victims:
                del victims[name]
    print(
        f"{' and '.join(way)} killed at {came} of {chosen} boundaries ({total} in all) "
        f"in {time.monotonic() - began:.0f} s"
    )
    assert came == chosen


def test_what_a_restart_has_stopped_comes_back(scenario: Scenario) -> None:
    """Whoever asked for it has been told that it was cut short; nobody has to ask again."""
    faults = Faults(scenario)
    scenario.compose("services: {web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}}")
    scenario.stackup("up", "-d").ok()
    for whom, at in (("supervisor", "after record shop-web-1 stopping"), ("all", "after record shop-web-1 exited")):
        before = scenario.pid("web")
        faults.arm(whom, at)
        scenario.stackup("restart", "web")
        assert faults.struck()
        scenario.ps()  # after both were killed, somebody has to ask
        scenario.has_state("web", "running")
        eventually(lambda: scenario.pid("web") != before, "another process")  # noqa: B023
    scenario.stackup("stop").ok()
    assert scenario.state("web") == "exited"
