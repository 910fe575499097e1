"""Kills at every boundary of up, recreate and down: the next command converges, and nothing is left at the end.

``./dev faults`` does each of them alone, for the supervisor, the launcher, and both. The usual run strikes the same
command several times in a row and ends when its time is up: first after each action, then before each, then around the
writing of each record, in an order that is drawn with a printed seed.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import pytest

from tests.support import residue
from tests.support.faults import KILLS, Faults, seed
from tests.support.residue import Watch
from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

FULL = bool(os.environ.get("STACKUP_FAULTS_FULL"))
SECONDS = float(os.environ.get("STACKUP_FAULTS_SECONDS", 7000 if FULL else 42))  # for each way
IN_A_ROW = 1 if FULL else 3  # kills before a command may succeed
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
        self.whom = ""
        self.chosen: list[str] = []  # boundaries for the next stage
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
        self.done = []
        for at in self.chosen:
            self.faults.arm(self.whom, at)
            struck = self._scenario.stackup(*command)
            assert "Traceback" not in struck.err, str(struck)
            if not self.faults.struck():
                struck.ok()
                continue
            self.done.append(at)
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


def take(names: list[str], draw: random.Random) -> list[str]:
    """The next ones of a stage, those of the most telling kind first, in the order in which they come."""
    kinds = [[name for name in names if kind(name) == number] for number in range(3)]
    first = next((found for found in kinds if found), [])
    chosen = set(draw.sample(first, min(IN_A_ROW, len(first))))
    return [name for name in names if name in chosen]


def kind(name: str) -> int:
    if " record " in name:
        return 2
    return 0 if name.startswith("after") else 1


@pytest.mark.timeout(SECONDS + 200)
@pytest.mark.parametrize("whom", [*KILLS] if FULL else ["supervisor", "all"])
def test_a_kill_at_any_boundary(rounds: Rounds, boundaries: dict[str, list[str]], whom: str) -> None:
    draw = random.Random(seed())
    total, came, began = sum(map(len, boundaries.values())), 0, time.monotonic()
    rounds.whom = whom
    while any(boundaries.values()) and time.monotonic() - began < SECONDS:
        for stage, names in boundaries.items():
            rounds.chosen = take(names, draw)
            try:
                rounds.stages()[stage]()
            except AssertionError as error:
                raise AssertionError(f"{whom} killed during {stage}: {rounds.chosen}: {error}") from None
            came += len(rounds.done)
            # one that did not come (another was in its way) has its turn again, unless it was alone
            given_up = rounds.chosen if not rounds.done else rounds.done
            boundaries[stage] = [name for name in names if name not in given_up]
    print(f"{whom}: struck at {came} of {total} boundaries in {time.monotonic() - began:.0f} s")


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
