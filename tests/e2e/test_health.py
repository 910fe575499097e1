"""Health checks: Docker's numbers, but nobody waits a whole interval for a service that is ready."""

from __future__ import annotations

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
