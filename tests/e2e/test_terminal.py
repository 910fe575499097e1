"""What the user sees: on a terminal from the first moment, and in the words of ``ps`` and ``up``."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

SLEEPER = "services: {web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}}"
GREEDY = """
    services:
      web:
        image: busybox
        command: ["sh", "-c", "x=0123456789abcdef; while :; do x=$$x$$x; done"]
        mem_limit: 16m
        memswap_limit: 16m
    """


def test_a_cold_start_is_seen_before_the_plan(scenario: Scenario) -> None:
    scenario.compose(SLEEPER)
    with scenario.start("up", "-d", terminal=True) as up:
        up.shows("project shop  starting…")
        assert "container shop-web-1" not in up.text, "it is seen only with the plan"
        assert up.ends() == 0
    assert re.search("✔.*container shop-web-1.*started", up.text)
    assert up.text.endswith("\033[?25h"), "the cursor is back"
    with scenario.start("up", "-d", terminal=True) as again:
        assert again.ends() == 0
    assert "starting" not in again.text
    assert scenario.stackup("down", "-t", "0").ok().err.count("working") == 0


def test_ports_that_follow_each_other(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, ports: ["8000-8009:8000-8009", "9001:80"]}
        """)
    scenario.stackup("up", "-d").ok()
    shown = scenario.stackup("ps").ok().out
    assert shown.splitlines()[1].endswith("   0.0.0.0:8000-8009->8000-8009/tcp, 0.0.0.0:9001->80/tcp")


def test_out_of_memory_is_said(scenario: Scenario) -> None:
    scenario.compose(GREEDY)
    up = scenario.stackup("up").ok()
    assert "web-1 exited with code 137, out of memory\n" in up.out
    assert re.search(r"Exited \(137\) .* ago, out of memory", scenario.stackup("ps", "-a").ok().out)
    assert json.loads(scenario.stackup("ps", "-a", "--format", "json").ok().out)["OOMKilled"] is True


def test_ps_is_the_same_with_and_without_a_supervisor(scenario: Scenario) -> None:
    """Rows come from the supervisor, or, where none runs, from what it has left on disk."""
    scenario.compose("""
        services:
          web:
            {image: busybox, command: sleep 1000, stop_signal: SIGKILL, ports: ["8000-8001:80-81"], labels: {a: b}}
          job: {image: busybox, command: "false"}
        """)
    scenario.stackup("up", "-d").ok()
    scenario.has_state("job", "exited")

    def rows() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in scenario.stackup("ps", "-a", "--format", "json").ok().out.splitlines()]
        ages = ("RunningFor", "Status")
        return [{key: value for key, value in row.items() if key not in ages} for row in found]

    answered = rows()
    daemons = [scenario.daemon("supervisor"), scenario.daemon("launcher")]
    for signum in (signal.SIGSTOP, signal.SIGKILL):  # so that neither can replace the other meanwhile
        for pid in daemons:
            os.kill(pid, signum)
    eventually(lambda: not {item.pid for item in scenario.processes()} & set(daemons), "nobody is there to ask")
    assert rows() == answered
    assert [row["Service"] for row in answered] == ["job", "web"]


def test_wait_fails_with_a_service_that_flaps(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: ["sh", "-c", "sleep 0.2; echo where is my database >&2; exit 3"]
            restart: always
          steady: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
        """)
    done = scenario.stackup("up", "-d", "--wait")
    done.refused("container shop-web-1 exited with code 3 and is being restarted", "web-1 +| where is my database")
    assert "service steady: ready" in done.err
    assert scenario.row("steady")["State"] == "running"
