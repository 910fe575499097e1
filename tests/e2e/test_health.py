"""Health checks: Docker's numbers, but nobody waits a whole interval for a service that is ready."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.scenario import Scenario

pytestmark = pytest.mark.root


def test_a_ready_service_is_healthy_long_before_its_first_interval_is_over(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          words: {image: busybox, command: sleep 1000, healthcheck: {test: ["CMD", "test", "-d", "/proc"]}}
          shell: {image: busybox, command: sleep 1000, healthcheck: {test: ["CMD-SHELL", "test $$((1+1)) = 2"]}}
          none: {image: busybox, command: sleep 1000, healthcheck: {test: ["NONE"]}}
          off: {image: busybox, command: sleep 1000, healthcheck: {disable: true, test: "false"}}
        """)
    begin = time.monotonic()
    scenario.stackup("up", "-d", "--wait").ok()
    assert time.monotonic() - begin < 25, "the interval is 30 s"
    health = {row["Service"]: row["Health"] for row in scenario.ps()}
    assert health == {"words": "healthy", "shell": "healthy", "none": "", "off": ""}


def test_no_failure_counts_in_the_start_period(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: sleep 1000
            stop_signal: SIGKILL
            healthcheck:
              {test: "echo not yet; false", interval: 300ms, retries: 1, start_period: 3s, start_interval: 200ms}
          after: {image: busybox, command: sleep 1000, depends_on: {web: {condition: service_healthy}}}
        """)
    begin = time.monotonic()
    done = scenario.stackup("up", "-d").refused("unhealthy", "not yet")
    assert time.monotonic() - begin > 3, str(done)
    scenario.has_health("web", "unhealthy")
    # What the last probe said can be read wherever its verdict is.
    row = scenario.row("web")
    assert row["HealthProbe"] == {"ExitCode": 1, "Output": "not yet\n"}
    assert row["Notice"] == "unhealthy: its last probe (exit code 1) said: not yet"
    assert f"web-1: {row['Notice']}" in scenario.stackup("ps").ok().err
    past = scenario.stackup("events", "--json", "--since", "1m", "--until", "0s").ok().out
    (event,) = (item for line in past.splitlines() if "health_status" in (item := json.loads(line))["action"])
    assert (event["attributes"]["exitCode"], event["attributes"]["output"]) == ("1", "not yet")
    for name in ("web", row["Name"], row["ID"]):
        (found,) = json.loads(scenario.stackup("inspect", name).ok().out)
        health = found["State"]["Health"]
        assert (health["Status"], {item["Output"] for item in health["Log"]}) == ("unhealthy", {"not yet\n"})
        assert 1 <= len(health["Log"]) <= 5 and health["FailingStreak"] >= 1
