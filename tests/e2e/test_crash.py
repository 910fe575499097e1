"""kill -9 of stackup's own processes: a pause, not a loss."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually, gone, page

pytestmark = pytest.mark.root

STACK = """
    services:
      web:
        image: busybox
        command: httpd -f -p 80 -h /www
        ports: ["8080:80"]
        volumes: ["./www:/www:ro"]
        restart: always
        stop_signal: SIGKILL
      counter:
        image: busybox
        command: ["sh", "-c", "i=0; while :; do echo line $$i; i=$$((i+1)); usleep 5000; done"]
        stop_signal: SIGKILL
      client:
        image: busybox
        command: sleep 1000
        stop_signal: SIGKILL
    """


@pytest.fixture
def stack(scenario: Scenario) -> Scenario:
    scenario.compose(STACK)
    scenario.file("www/index.html", "still here")
    scenario.stackup("up", "-d").ok()
    return scenario


def numbers(stack: Scenario) -> list[int]:
    return [int(line.split()[1]) for line in stack.logs("counter").splitlines()]


def test_a_killed_supervisor_is_back_by_itself_and_has_adopted_everything(stack: Scenario) -> None:
    before = {name: stack.pid(name) for name in ("web", "counter", "client")}
    eventually(lambda: len(numbers(stack)) > 20, "some output")
    old = stack.kill_daemon("supervisor")
    assert page("http://127.0.0.1:8080/").strip() == "still here"
    assert eventually(lambda: stack.daemon("supervisor"), "a new supervisor", 2) != old
    assert {row["State"] for row in stack.ps()} == {"running"}
    assert {name: stack.pid(name) for name in before} == before


def test_names_policies_and_logs_go_on_after_a_supervisor_was_killed(stack: Scenario) -> None:
    eventually(lambda: len(numbers(stack)) > 20, "some output")
    for _ in range(3):
        stack.kill_daemon("supervisor")
        eventually(lambda: stack.run_in("client", "wget -q -O - http://web/").strip() == "still here", "web answers")
    web = stack.pid("web")
    os.kill(web, signal.SIGKILL)
    gone(web)
    eventually(lambda: stack.state("web") == "running" and stack.pid("web") != web, "web is back")
    assert page("http://127.0.0.1:8080/").strip() == "still here"
    seen = numbers(stack)
    assert seen == list(range(len(seen)))


def test_a_container_that_ends_while_no_supervisor_is_there_is_restarted(stack: Scenario) -> None:
    web, supervisor = stack.pid("web"), stack.daemon("supervisor")
    os.kill(supervisor, signal.SIGKILL)
    os.kill(web, signal.SIGKILL)
    gone(web)
    eventually(lambda: stack.state("web") == "running" and stack.pid("web") != web, "web is back")
    assert page("http://127.0.0.1:8080/").strip() == "still here"


def test_both_killed_then_down_leaves_nothing(stack: Scenario) -> None:
    launcher, supervisor = stack.daemon("launcher"), stack.daemon("supervisor")
    os.kill(launcher, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    gone(launcher)
    gone(supervisor)
    stack.stackup("down", "-v", "-t", "1").ok()
    assert stack.projects() == []


def test_containers_outlive_both_and_the_next_command_adopts_them(stack: Scenario) -> None:
    before = {name: stack.pid(name) for name in ("web", "client")}
    launcher, supervisor = stack.daemon("launcher"), stack.daemon("supervisor")
    os.kill(launcher, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    gone(launcher)
    gone(supervisor)
    stack.stackup("up", "-d").ok()
    assert {name: stack.pid(name) for name in before} == before
    eventually(lambda: stack.run_in("client", "wget -q -O - http://web/").strip() == "still here", "web answers")


def test_a_killed_launcher_is_replaced(stack: Scenario) -> None:
    client, old = stack.pid("client"), stack.kill_daemon("launcher")
    assert eventually(lambda: stack.daemon("launcher"), "a new launcher") != old
    eventually(lambda: stack.run_in("client", "echo inside") == "inside", "exec works")
    assert stack.pid("client") == client
    web = stack.pid("web")
    os.kill(web, signal.SIGKILL)
    gone(web)
    eventually(lambda: stack.state("web") == "running" and stack.pid("web") != web, "web is back")


def test_a_vanished_foreground_leaves_the_project_running(scenario: Scenario) -> None:
    scenario.compose(
        "services: {web: {image: busybox, command: ['sh', '-c', 'echo up; sleep 1000'], stop_signal: KILL}}"
    )
    up = scenario.start("up")
    up.shows("up$")
    up.send(signal.SIGKILL)
    up.ends()
    assert scenario.state("web") == "running"
