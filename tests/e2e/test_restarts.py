"""Restart policies as a user meets them: pauses, limits, crash loops, services that are unhealthy."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


def test_a_crash_loop_is_said_in_one_line_with_the_last_output(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: "sh -c 'echo starting; echo no config in $$HOME >&2; exit 3'"
            restart: always
            x-stackup: {backoff: {delay: 10ms, factor: 2, maximum: 1h}}
        """)
    up = scenario.start("up")
    up.shows(r"shop-web-1: crash loop: it exited with code 3, restart 3 in 0.04 s; last output: no config in /root")
    eventually(lambda: "crash loop" in scenario.stackup("ps").ok().err, "ps says so")
    assert up.text.count("crash loop") == 1
    up.send()
    assert up.ends() == 130
    assert scenario.state("web") == "exited"


def test_deploy_restart_policy_and_its_pauses(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: "sh -c 'date +%s%N >> /times; exit 1'"
            volumes: ["./shared:/shared"]
            deploy: {restart_policy: {condition: on-failure, delay: 300ms, max_attempts: 2}}
          fine:
            image: busybox
            command: "sh -c 'echo run; exit 143'"
            restart: on-failure
            x-stackup: {success_exit_codes: [143]}
        """)
    scenario.replace("date +%s%N >> /times", "cat /proc/uptime >> /shared/times")
    times = scenario.file("shared/times", "")
    scenario.stackup("up", "-d").ok()
    eventually(lambda: "gave up after 2 restarts" in scenario.stackup("ps", "-a").ok().err, "it gives up")
    started = [float(line.split()[0]) for line in times.read_text().splitlines()]
    assert len(started) == 3
    assert all(later - earlier >= 0.29 for earlier, later in pairwise(started))
    assert scenario.has_state("fine", "exited")["ExitCode"] == 143
    assert scenario.logs("fine").count("run") == 1


def test_an_unhealthy_service_is_restarted_when_asked_for(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: "sh -c 'touch /tmp/well; exec sleep 1000'"
            stop_signal: SIGKILL
            x-stackup: {ready: {file: /tmp/well, interval: 100ms, retries: 1}, restart_when: unhealthy}
        """)
    scenario.stackup("up", "-d", "--wait").ok()
    first = scenario.pid("web")
    scenario.run_in("web", "rm /tmp/well")
    eventually(lambda: scenario.state("web") == "running" and scenario.pid("web") != first, "it is another process")
    scenario.has_health("web", "healthy")


def test_a_service_that_stays_sick_is_a_crash_loop(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: "sh -c 'echo began; exec sleep 1000'"
            stop_signal: SIGKILL
            healthcheck: {test: "echo no route; false", interval: 50ms, retries: 1}
            x-stackup: {restart_when: unhealthy, backoff: {delay: 400ms}}
        """)
    scenario.stackup("up", "-d").ok()
    text = r"crash loop: it was unhealthy \(its last probe said: no route\), restart \d in .* s; last output: began"
    eventually(lambda: re.search(text, scenario.stackup("ps", "-a").ok().err), "it is told")
    assert scenario.logs().count("began") <= 5
    scenario.stackup("down").ok()


def test_a_dependency_that_fails_fails_its_dependants_at_once(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          db:
            image: busybox
            command: "sh -c 'echo data directory is not empty; exit 1'"
            healthcheck: {test: ["CMD", "true"], interval: 60s}
          sick:
            image: busybox
            command: sleep 1000
            stop_signal: SIGKILL
            healthcheck: {test: "echo no route; false", interval: 100ms, retries: 1}
          web: {image: busybox, command: sleep 1000, depends_on: {db: {condition: service_healthy}}}
          api: {image: busybox, command: sleep 1000, depends_on: {sick: {condition: service_healthy}}}
          any:
            image: busybox
            command: sleep 1000
            stop_signal: SIGKILL
            depends_on: {sick: {condition: service_healthy, required: false}}
        """)
    begin = time.monotonic()
    done = scenario.stackup("up", "-d").refused("db", "data directory is not empty", "sick", "no route")
    assert time.monotonic() - begin < 30
    assert sorted(row["Service"] for row in scenario.ps()) == ["any", "sick"], str(done)
    assert "service sick: healthy" not in done.err
