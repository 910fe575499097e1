"""stop, start, restart, kill, policies; what a container keeps and what it loses."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually, gone

pytestmark = pytest.mark.root

ONE = "services: {web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, environment: {A: '1'}}}"


def test_stop_and_start_keep_the_writable_layer_recreation_does_not(scenario: Scenario) -> None:
    scenario.compose(ONE)
    scenario.stackup("up", "-d").ok()
    scenario.run_in("web", "echo kept > /etc/note; rm /etc/group")
    scenario.stackup("stop").ok()
    assert scenario.state("web") == "exited"
    scenario.stackup("start").ok()
    assert scenario.run_in("web", "cat /etc/note; ls /etc/group 2>&1 || true").startswith("kept\nls: /etc/group")
    scenario.replace("'1'", "'2'")
    scenario.stackup("up", "-d").ok()
    assert scenario.exec("web", "cat", "/etc/note").code == 1
    assert "root" in scenario.run_in("web", "cat /etc/group")


def test_restart_gives_a_new_process_in_the_same_container(scenario: Scenario) -> None:
    scenario.compose(ONE)
    scenario.stackup("up", "-d").ok()
    pid, identity = scenario.pid("web"), scenario.container_id("web")
    scenario.stackup("restart").ok()
    assert scenario.pid("web") != pid
    assert scenario.container_id("web") == identity


def test_stop_asks_first_and_kills_after_the_timeout(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          polite:
            image: busybox
            command: ["sh", "-c", "trap 'echo asked to end; exit 5' TERM; echo ready; while :; do sleep 0.05; done"]
          deaf:
            image: busybox
            command: ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]
        """)
    scenario.stackup("up", "-d").ok()
    for name in ("polite", "deaf"):
        eventually(lambda name=name: "ready" in scenario.logs(name), f"{name} is ready")
    scenario.stackup("stop", "-t", "1").ok()
    assert scenario.row("polite")["ExitCode"] == 5
    assert scenario.row("deaf")["ExitCode"] == 137
    assert "asked to end" in scenario.logs("polite")


def test_a_program_that_takes_its_handler_back_while_it_ends_has_its_time(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          slow:
            image: busybox
            command: ["sh", "-c", "trap 'trap - TERM; sleep 1; exit 5' TERM; echo ready; while :; do sleep 0.05; done"]
        """)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: "ready" in scenario.logs(), "ready")
    scenario.stackup("stop").ok()
    assert scenario.row("slow")["ExitCode"] == 5


def test_kill_sends_the_signal_that_is_asked_for(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: ["sh", "-c", "trap 'echo got usr1; exit 9' USR1; echo ready; while :; do sleep 0.05; done"]
        """)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: "ready" in scenario.logs(), "ready")
    scenario.stackup("kill", "-s", "SIGUSR1").ok()
    assert scenario.has_state("web", "exited")["ExitCode"] == 9


def test_a_killed_process_is_restarted_as_its_policy_says(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          always: {image: busybox, command: sleep 1000, restart: always, stop_signal: SIGKILL}
          never: {image: busybox, command: sleep 1000}
        """)
    scenario.stackup("up", "-d").ok()
    always, never = scenario.pid("always"), scenario.pid("never")
    for pid in (always, never):
        os.kill(pid, signal.SIGKILL)
        gone(pid)
    assert scenario.has_state("never", "exited")["ExitCode"] == 137
    eventually(lambda: scenario.state("always") == "running" and scenario.pid("always") != always, "always is back")


def test_on_failure_restarts_as_often_as_it_says(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          flaky:
            image: busybox
            command: ["sh", "-c", "echo run >> /runs; echo run; exit 4"]
            restart: on-failure:2
          fine: {image: busybox, command: "true", restart: on-failure}
        """)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: scenario.logs("flaky").count("run") == 3, "three runs")
    assert scenario.has_state("flaky", "exited")["ExitCode"] == 4
    assert scenario.has_state("fine", "exited")["ExitCode"] == 0


def test_a_stopped_container_stays_stopped(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, command: sleep 1000, restart: always, stop_signal: SIGKILL}
          other: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
        """)
    scenario.stackup("up", "-d").ok()
    scenario.stackup("stop", "web").ok()
    scenario.kill_daemon("supervisor")
    scenario.daemon("supervisor")
    assert scenario.state("web") == "exited"


def test_health_is_probed_and_shown(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: sleep 1000
            healthcheck: {test: "test -e /tmp/well", interval: 100ms, retries: 1, start_period: 0s}
            stop_signal: SIGKILL
        """)
    scenario.stackup("up", "-d").ok()
    scenario.has_health("web", "unhealthy")
    scenario.run_in("web", "touch /tmp/well")
    scenario.has_health("web", "healthy")
    assert "(healthy)" in scenario.stackup("ps").ok().out


def test_volumes_outlive_down_but_not_down_v(scenario: Scenario) -> None:
    scenario.compose("""
        services: {web: {image: busybox, command: sleep 1000, volumes: ["data:/data"], stop_signal: SIGKILL}}
        volumes: {data: {}}
        """)
    scenario.stackup("up", "-d").ok()
    scenario.run_in("web", "echo precious > /data/file")
    scenario.stackup("down").ok()
    scenario.stackup("up", "-d").ok()
    assert scenario.run_in("web", "cat /data/file") == "precious"
    scenario.stackup("down", "-v").ok()
    scenario.stackup("up", "-d").ok()
    assert scenario.run_in("web", "ls /data") == ""
    scenario.stackup("down").ok()
    eventually(lambda: not scenario.projects(), "nothing but the volume is left")
    assert "volume shop_data" in scenario.stackup("down", "-v", "--dry-run").ok().out
    assert "shop_data" in scenario.stackup("volume", "ls").ok().out
    scenario.stackup("down", "-v").ok()
    assert "shop_data" not in scenario.stackup("volume", "ls").ok().out
    assert "nothing to remove" in scenario.stackup("down", "-v").ok().err


def test_down_leaves_no_process_of_a_container_that_forks(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: ["sh", "-c", "for i in 1 2 3 4 5; do (setsid sleep 1000 &); done; echo ready; exec sleep 1000"]
            stop_signal: SIGKILL
        """)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: len(scenario.pids("web")) >= 6, "six processes")
    scenario.stackup("down").ok()


def test_down_without_anything_up_is_no_error(scenario: Scenario) -> None:
    scenario.compose(ONE)
    scenario.stackup("down").ok()


def test_one_that_hears_no_sigterm_is_told_of_and_given_the_grace_that_was_asked_for(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          given: {image: busybox, command: sleep 1000, stop_grace_period: 1s}
          default: {image: busybox, command: sleep 1000}
        """)
    scenario.stackup("up", "-d").ok()
    begin = time.monotonic()
    done = scenario.stackup("stop").ok()
    assert 1 <= time.monotonic() - begin < 5
    assert "shop-given-1 is killed after 1 s, as was asked for: its PID 1 has no handler for SIGTERM" in done.err
    assert "shop-default-1 is killed at once instead of after 10 s: its PID 1 has no handler for SIGTERM" in done.err
