"""examples/01-hello: what its README promises."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually, gone, page

pytestmark = [pytest.mark.root, pytest.mark.parametrize("example", ["01-hello"], indirect=True)]

PAGE = "http://127.0.0.1:18080/"


def visits() -> int:
    return int(page(PAGE + "visits"))


def started(scenario: Scenario, service: str) -> str:
    """When the service's first line was printed."""
    return scenario.logs("-t", service).split()[0]


def test_hello(example: Scenario) -> None:
    example.stackup("up", "-d", "--wait").ok()
    assert {row["Service"]: row["State"] for row in example.ps()} == dict.fromkeys(
        ["store", "web", "worker"], "running"
    )
    assert example.row("web")["Health"] == example.row("store")["Health"] == "healthy"

    first = re.search(r"<b>(\d+)</b>", page(PAGE))
    second = re.search(r"<b>(\d+)</b>", page(PAGE))
    assert first and second and int(second.group(1)) == int(first.group(1)) + 1
    eventually(lambda: f"{second.group(1)} is " in example.logs("worker"), "the worker says something")
    eventually(lambda: "in binary" in page(PAGE), "the page shows it")
    assert "web: listening on 8000" in example.logs("web")
    assert started(example, "store") < started(example, "web")
    assert example.run_in("web", "getent hosts store").split()[1] == "store"
    assert example.stackup("plan").ok().out.strip() == "hello: nothing to do"


def test_a_killed_service_comes_back(example: Scenario) -> None:
    example.stackup("up", "-d", "--wait").ok()
    before = example.pid("web")
    page(PAGE)
    os.kill(before, signal.SIGKILL)
    gone(before)
    assert page(PAGE)
    assert example.pid("web") != before
    assert visits() == 2


def test_the_count_survives_down_but_not_down_v(example: Scenario) -> None:
    example.stackup("up", "-d", "--wait").ok()
    for _ in range(3):
        page(PAGE)
    example.stackup("down").ok()
    example.stackup("up", "-d", "--wait").ok()
    assert visits() == 3
    example.stackup("down", "-v").ok()
    example.stackup("up", "-d", "--wait").ok()
    assert visits() == 0


def test_stopping_takes_no_grace_period(example: Scenario) -> None:
    example.stackup("up", "-d", "--wait").ok()
    example.stackup("stop").ok()
    codes = {row["Service"]: row["ExitCode"] for row in example.ps("-a")}
    assert 137 not in codes.values(), codes
