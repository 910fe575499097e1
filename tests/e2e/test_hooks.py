"""post_start, pre_stop and pre_start: run where and when they should, told when they fail, and never left behind."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.residue import read
from tests.support.scenario import Scenario
from tests.support.waiting import eventually, gone

pytestmark = pytest.mark.root


def test_hooks_run_in_the_container_with_what_they_ask_for(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: sleep 1000
            user: "1000"
            environment: {NAME: web}
            stop_signal: SIGKILL
            volumes: ["./shared:/shared"]
            post_start:
              - command: ["sh", "-c", "echo $NAME $COLOUR $$(id -u) $$(pwd) >> /shared/started"]
                user: root
                working_dir: /tmp
                environment: {COLOUR: blue}
              - command: ["sh", "-c", "mkdir -p /t && mount -t tmpfs none /t && echo privileged >> /shared/started"]
                privileged: true
                user: root
            pre_stop:
              - command: ["sh", "-c", "echo stopping >> /shared/stopped"]
                user: root
        """)
    scenario.replace("$NAME $COLOUR", "$$NAME $$COLOUR")
    scenario.file("shared/started", "")
    scenario.stackup("up", "-d").ok()
    started = scenario.directory / "shared/started"
    assert started.read_text() == "web blue 0 /tmp\nprivileged\n"
    scenario.stackup("restart").ok()
    stopped = scenario.directory / "shared/stopped"
    assert stopped.read_text() == "stopping\n"
    scenario.replace("NAME: web", "NAME: other")
    scenario.stackup("up", "-d").ok()
    assert stopped.read_text() == "stopping\n" * 2
    assert "other blue 0 /tmp" in started.read_text()
    scenario.stackup("down").ok()
    assert stopped.read_text() == "stopping\n" * 3


def test_a_failing_post_start_fails_the_start_and_says_why(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: sleep 1000
            stop_signal: SIGKILL
            post_start: [{command: ["sh", "-c", "echo no such table; exit 3"]}]
          after: {image: busybox, command: sleep 1000, depends_on: [web], stop_signal: SIGKILL}
        """)
    scenario.stackup("up", "-d").refused("cannot start container shop-web-1", "post_start", "code 3", "no such table")
    assert scenario.state("web") == "running"
    assert [row["Service"] for row in scenario.ps()] == ["web"]
    # It is remembered, shown, and no reason to go on the next time.
    failed = "its post_start command `sh -c 'echo no such table; exit 3'` exited with code 3"
    assert scenario.row("web")["Notice"] == failed
    scenario.kill_daemon("supervisor")
    assert failed in scenario.stackup("plan").out
    scenario.stackup("up", "-d").refused("cannot start container shop-web-1", "post_start", "code 3", "no such table")
    assert [row["Service"] for row in scenario.ps()] == ["web"]


def test_a_failing_pre_stop_is_told_and_stops_nothing(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: sleep 1000
            stop_signal: SIGKILL
            pre_stop: [{command: ["sh", "-c", "echo cannot flush; exit 7"]}, {command: "true"}]
        """)
    scenario.stackup("up", "-d").ok()
    done = scenario.stackup("stop").ok()
    assert "pre_stop" in done.err and "code 7" in done.err and "cannot flush" in done.err
    assert scenario.state("web") == "exited"


def test_a_supervisor_killed_within_a_hook_leaves_nothing_and_runs_it_anew(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: sleep 1000
            stop_signal: SIGKILL
            volumes: ["./shared:/shared"]
            post_start: [{command: ["sh", "-c", "echo $$$$ >> /shared/runs; test -e /shared/go || exec sleep 1001"]}]
            pre_stop: [{command: ["sh", "-c", "echo $$$$ >> /shared/ends; test -e /shared/done || exec sleep 1002"]}]
        """)
    runs, ends = scenario.file("shared/runs", ""), scenario.file("shared/ends", "")
    up = scenario.start("up", "-d")
    eventually(lambda: len(runs.read_text().split()) == 1, "the hook runs")
    (scenario.directory / "shared/go").touch()
    scenario.kill_daemon("supervisor")
    eventually(lambda: len(runs.read_text().split()) >= 2, "the hook runs again")
    up.ends()
    eventually(lambda: _sleeping(scenario, "1001") == 0, "the first one is gone")
    assert scenario.state("web") == "running"
    stop = scenario.start("stop")
    eventually(lambda: len(ends.read_text().split()) == 1, "pre_stop runs")
    (scenario.directory / "shared/done").touch()
    scenario.kill_daemon("supervisor")
    stop.ends()
    scenario.has_state("web", "exited")
    assert len(ends.read_text().split()) >= 2


def test_two_interrupts_do_not_wait_for_a_hook(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: sleep 1000
            pre_stop: [{command: ["sh", "-c", "echo hooked; exec sleep 1003"]}]
        """)
    up = scenario.start("up")
    eventually(lambda: _sleeping(scenario, "1000"), "web runs")
    up.send()
    eventually(lambda: _sleeping(scenario, "1003"), "the hook runs")
    up.send()
    assert up.ends() == 130
    scenario.has_state("web", "exited")


def _sleeping(scenario: Scenario, seconds: str) -> int:
    """Processes of the service that sleep so long."""
    commands = [read(f"/proc/{pid}/cmdline") for pid in scenario.pids("web") if os.path.exists(f"/proc/{pid}")]
    return sum(command.split("\0")[:2] == ["sleep", seconds] for command in commands)


PREPARED = """
    services:
      web:
        image: busybox
        command: ["sh", "-c", "cat /data/steps; exec sleep 1000"]
        stop_signal: SIGKILL
        scale: 2
        volumes: ["data:/data"]
        environment: {NAME: web}
        pre_start:
          - command: ["sh", "-c", "echo once $$NAME $$COLOUR $$(id -u) >> /data/steps; sleep 0.2"]
            environment: {COLOUR: blue}
            user: "7"
          - command: ["sh", "-c", "echo each >> /data/steps"]
            per_replica: true
    volumes: {data: {}}
    """


def test_pre_start_runs_in_containers_of_its_own_once_or_for_each(scenario: Scenario) -> None:
    scenario.compose(PREPARED)
    scenario.replace('user: "7"', 'user: "0"')
    scenario.stackup("up", "-d").ok()
    assert sorted(scenario.exec("web", "cat", "/data/steps").ok().out.splitlines()) == [
        "each", "each", "once web blue 0",
    ]  # fmt: skip
    assert sorted(row["Name"] for row in scenario.ps("-a")) == ["shop-web-1", "shop-web-2"]
    scenario.stackup("restart").ok()
    assert len(scenario.exec("web", "cat", "/data/steps").ok().out.splitlines()) == 3
    scenario.replace("scale: 2", "scale: 3")
    scenario.stackup("up", "-d").ok()
    assert len(scenario.exec("web", "cat", "/data/steps").ok().out.splitlines()) == 4


def test_a_failing_pre_start_keeps_the_service_from_starting(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: sleep 1000
            pre_start: [{command: ["sh", "-c", "echo bad schema; exit 9"]}, {command: ["touch", "/never"]}]
          after: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: [web]}
          other: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
        """)
    done = scenario.stackup("up", "-d").refused("cannot start container shop-web-1", "pre_start command 1", "code 9")
    assert "bad schema" in done.err
    kept = {row["Service"]: row["State"] for row in scenario.ps("-a")}
    assert kept == {"web": "created", "after": "created", "other": "running"}
    assert "bad schema" in scenario.logs("web")


def test_a_supervisor_killed_within_a_pre_start_leaves_no_container_and_runs_it_anew(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: sleep 1000
            stop_signal: SIGKILL
            volumes: ["./shared:/shared"]
            pre_start:
              - command: ["sh", "-c", "echo first >> /shared/runs"]
              - command: ["sh", "-c", "echo run >> /shared/runs; test -e /shared/go || exec sleep 1004"]
        """)
    runs = scenario.file("shared/runs", "")
    up = scenario.start("up", "-d")
    eventually(lambda: runs.read_text().split() == ["first", "run"], "the second step runs")
    (scenario.directory / "shared/go").touch()
    scenario.kill_daemon("supervisor")
    assert up.ends() == 0, up.text  # it goes on with the successor
    assert scenario.state("web") == "running"
    assert runs.read_text().split() == ["first", "run", "run"]


def test_both_processes_killed_within_a_hook_leave_nothing_of_it(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: sleep 1000
            stop_signal: SIGKILL
            volumes: ["./shared:/shared"]
            post_start:
              - command: ["sh", "-c", "echo run >> /shared/runs; test -e /shared/go || { sleep 1005; sleep 1006; }"]
        """)
    runs = scenario.file("shared/runs", "")
    up = scenario.start("up", "-d")
    eventually(lambda: _sleeping(scenario, "1005") == 1, "the hook runs")
    launcher, supervisor = scenario.daemon("launcher"), scenario.daemon("supervisor")
    (scenario.directory / "shared/go").touch()
    os.kill(launcher, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    gone(launcher)
    gone(supervisor)
    up.ends()
    scenario.stackup("up", "-d").ok()
    eventually(lambda: len(runs.read_text().split()) == 2, "the hook runs again")
    eventually(lambda: len(scenario.pids("web")) == 1, "only the service's own process is left")
    assert scenario.state("web") == "running"


def test_a_scheduled_service_whose_pre_start_hangs_can_be_stopped(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          job:
            image: busybox
            command: "true"
            pre_start: [{command: sleep 1007}]
            x-stackup: {schedule: {every: 100ms}}
        """)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: any("sleep 1007" in process.command for process in scenario.processes()), "the step runs")
    scenario.stackup("stop").ok()
    assert not any("sleep 1007" in process.command for process in scenario.processes())
    assert scenario.state("job") in ("created", "exited")
