"""Services that run at times: started when due, whatever happens to the supervisor; ps says when."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

EVERY = """
    services:
      report:
        image: busybox
        command: ["sh", "-c", "cat /proc/uptime >> /shared/runs; WORK"]
        volumes: ["./shared:/shared"]
        stop_signal: SIGKILL
        x-stackup: {schedule: {every: 1s, history: 2}}
    """


def runs(scenario: Scenario) -> list[float]:
    """When each run began, in seconds since boot."""
    return [float(line.split()[0]) for line in (scenario.directory / "shared/runs").read_text().splitlines()]


@pytest.fixture
def report(scenario: Scenario) -> Scenario:
    scenario.compose(EVERY)
    scenario.file("shared/runs", "")
    return scenario


def test_it_runs_when_due_also_after_its_supervisor_was_killed(report: Scenario) -> None:
    report.replace("WORK", "exit 0")
    report.stackup("up", "-d", "--wait").ok()
    assert runs(report) == []
    assert re.search(r"Next run in ", report.stackup("ps").ok().out)
    eventually(lambda: len(runs(report)) >= 2, "it runs")
    report.kill_daemon("supervisor")
    seen = len(runs(report))
    eventually(lambda: len(runs(report)) >= seen + 2, "it goes on")
    assert report.stackup("plan").ok().out.strip() == "shop: nothing to do"
    eventually(lambda: "exited (0)" in report.stackup("ps").ok().out, "ps tells of the last run")
    report.stackup("stop").ok()
    assert report.state("report") == "exited"
    seen = len(runs(report))
    report.stackup("start").ok()
    eventually(lambda: len(runs(report)) >= seen + 1, "it is back")
    began = runs(report)
    assert all(later - earlier > 0.5 for earlier, later in pairwise(began))


def test_ps_says_when_it_will_run_first(report: Scenario) -> None:
    report.replace("WORK", "exit 3")
    report.replace("every: 1s", "every: 1h")
    report.stackup("up", "-d").ok()
    assert runs(report) == []
    assert re.search(r"Next run in (About an hour|5[0-9] minutes)", report.stackup("ps").ok().out)
    assert report.row("report")["State"] == "created"


def test_a_run_that_lasts_too_long_makes_way_where_that_is_asked_for(report: Scenario) -> None:
    report.replace("WORK", "exec sleep 1000")
    report.replace("history: 2", "overlap: kill")
    report.stackup("up", "-d").ok()
    eventually(lambda: len(runs(report)) >= 3, "each makes way for the next")


def test_a_dependant_waits_for_a_run_that_succeeds(report: Scenario) -> None:
    report.replace("WORK", "test -e /shared/second || { touch /shared/second; exit 1; }")
    path = report.directory / "compose.yaml"
    dependant = """
  after:
    image: busybox
    command: sleep 1000
    stop_signal: SIGKILL
    depends_on: {report: {condition: service_completed_successfully}}
"""
    path.write_text(path.read_text() + dependant)
    report.stackup("up", "-d").ok()
    assert report.state("after") == "running"
    assert len(runs(report)) >= 2


def test_it_can_be_run_before_its_time(report: Scenario) -> None:
    report.replace("WORK", "exit 3")
    report.replace("every: 1s", "every: 1h")
    report.stackup("up", "-d").ok()
    for count in (1, 2):
        report.stackup("start", "--now", "report").ok()
        eventually(lambda: len(runs(report)) == count, "it runs")  # noqa: B023
        eventually(lambda: "exited (3)" in report.stackup("ps").ok().out, "it has ended")
    assert re.search(r"Next run in (About an hour|5[0-9] minutes)", report.stackup("ps").ok().out)
    past = report.stackup("history", "--runs").ok().out.splitlines()
    assert [line.split("   ")[-1].partition(" after")[0] for line in past[1:]] == ["exit code 3"] * 2 + ["next run"]
