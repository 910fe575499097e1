"""Bringing a stack up: what is made, in which order, what a second `up` does, and what the plan says of it."""

from __future__ import annotations

import re
import signal

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import page

pytestmark = pytest.mark.root

TWO = """
    services:
      web:
        image: busybox
        command: httpd -f -p 80 -h /www
        ports: ["8080:80"]
        volumes: ["./www:/www:ro"]
        depends_on: [store]
        environment: {COLOUR: blue}
        stop_signal: SIGKILL
      store:
        image: busybox
        command: sleep 1000
        stop_signal: SIGKILL
    """


@pytest.fixture
def two(scenario: Scenario) -> Scenario:
    scenario.compose(TWO)
    scenario.file("www/index.html", "hello from a volume")
    return scenario


def test_up_serves_a_page_through_a_published_port(two: Scenario) -> None:
    two.stackup("up", "-d").ok()
    assert page("http://127.0.0.1:8080/").strip() == "hello from a volume"
    assert [row["Name"] for row in two.ps()] == ["shop-store-1", "shop-web-1"]
    assert {row["State"] for row in two.ps()} == {"running"}
    assert "8080->80/tcp" in two.stackup("ps").ok().out


def test_a_second_up_does_nothing(two: Scenario) -> None:
    two.stackup("up", "-d").ok()
    before = two.pid("web"), two.pid("store")
    assert two.stackup("plan").ok().out.strip() == "shop: nothing to do"
    again = two.stackup("up", "-d").ok()
    assert (two.pid("web"), two.pid("store")) == before
    assert "created" not in again.err and "started" not in again.err


def test_an_edit_recreates_only_what_changed_and_the_plan_says_so_first(two: Scenario) -> None:
    two.stackup("up", "-d").ok()
    web, store = two.container_id("web"), two.container_id("store")
    two.replace("blue", "green")
    plan = two.stackup("plan").says_changes().out
    assert 'config changed: environment.COLOUR: "blue" -> "green"' in plan
    assert "store" not in plan
    two.stackup("up", "-d").ok()
    assert two.container_id("web") != web
    assert two.container_id("store") == store
    assert two.run_in("web", "echo $COLOUR") == "green"
    assert page("http://127.0.0.1:8080/").strip() == "hello from a volume"


def test_a_dry_run_touches_nothing(two: Scenario) -> None:
    out = two.stackup("up", "--dry-run").ok().out
    assert re.search(r"create +container shop-web-1", out) and re.search(r"start +container shop-store-1", out)
    assert two.ps("-a") == []


def test_force_recreate_makes_new_containers(two: Scenario) -> None:
    two.stackup("up", "-d").ok()
    before = {row["ID"] for row in two.ps()}
    two.stackup("up", "-d", "--force-recreate").ok()
    assert before.isdisjoint({row["ID"] for row in two.ps()})


def test_removing_a_service_from_the_file_makes_an_orphan(two: Scenario) -> None:
    two.stackup("up", "-d").ok()
    two.compose("services: {store: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}}")
    assert "web" in two.stackup("up", "-d").ok().err
    assert {row["Service"] for row in two.ps()} == {"store", "web"}
    two.stackup("up", "-d", "--remove-orphans").ok()
    assert {row["Service"] for row in two.ps()} == {"store"}


def test_conditions_decide_the_order(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          app:
            image: busybox
            command: ["sh", "-c", "cat /shared/order; echo app >> /shared/order; sleep 1000"]
            volumes: ["shared:/shared"]
            depends_on:
              migrate: {condition: service_completed_successfully}
              db: {condition: service_healthy}
            stop_signal: SIGKILL
          migrate:
            image: busybox
            command: ["sh", "-c", "sleep 0.3; echo migrate >> /shared/order"]
            volumes: ["shared:/shared"]
            depends_on:
              db: {condition: service_healthy}
          db:
            image: busybox
            command: ["sh", "-c", "sleep 0.3; echo db >> /shared/order; touch /tmp/ready; sleep 1000"]
            volumes: ["shared:/shared"]
            healthcheck: {test: ["CMD", "test", "-e", "/tmp/ready"], interval: 100ms, retries: 100}
            stop_signal: SIGKILL
        volumes: {shared: {}}
        """)
    scenario.stackup("up", "-d", "--wait").ok()
    assert scenario.run_in("app", "cat /shared/order").split() == ["db", "migrate", "app"]
    assert scenario.row("migrate")["ExitCode"] == 0
    assert scenario.row("db")["Health"] == "healthy"


def test_what_depends_on_a_failure_is_not_started(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          app:
            image: busybox
            command: sleep 1000
            depends_on: {migrate: {condition: service_completed_successfully}}
          migrate: {image: busybox, command: ["sh", "-c", "echo no such table >&2; exit 3"]}
          other: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
        """)
    scenario.stackup("up", "-d").refused("migrate", "3")
    assert scenario.state("other") == "running"
    assert all(row["State"] != "running" for row in scenario.ps("-a") if row["Service"] == "app")


def test_wait_fails_when_a_service_becomes_unhealthy(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          sick:
            image: busybox
            command: sleep 1000
            healthcheck: {test: "exit 1", interval: 50ms, retries: 2}
            stop_signal: SIGKILL
        """)
    scenario.stackup("up", "-d", "--wait").refused("sick", "unhealthy")


def test_scale_makes_numbered_containers(scenario: Scenario) -> None:
    scenario.compose("services: {worker: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}}")
    scenario.stackup("up", "-d", "--scale", "worker=3").ok()
    assert [row["Name"] for row in scenario.ps()] == ["shop-worker-1", "shop-worker-2", "shop-worker-3"]
    scenario.stackup("up", "-d", "--scale", "worker=1").ok()
    assert [row["Name"] for row in scenario.ps()] == ["shop-worker-1"]


# ------------------------------------------------------------------------------------------------------- foreground

TALKERS = """
    services:
      first:
        image: busybox
        command: ["sh", "-c", "trap 'echo first ends; exit 0' TERM; echo first speaks; while :; do sleep 0.05; done"]
      second:
        image: busybox
        command: ["sh", "-c", "trap 'echo second ends; exit 0' TERM; echo second speaks; while :; do sleep 0.05; done"]
        depends_on: [first]
    """


def test_up_in_the_foreground_streams_prefixed_lines_and_ctrl_c_stops_in_reverse_order(scenario: Scenario) -> None:
    scenario.compose(TALKERS)
    up = scenario.start("up")
    up.shows(r"^first-1 +\| first speaks$")
    up.shows(r"^second-1 +\| second speaks$")
    up.send(signal.SIGINT)
    assert up.ends() in (0, 130)
    assert up.text.index("second ends") < up.text.index("first ends")
    assert {row["State"] for row in scenario.ps("-a")} == {"exited"}


def test_the_second_ctrl_c_kills(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          deaf:
            image: busybox
            command: ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]
            stop_grace_period: 1m
        """)
    up = scenario.start("up")
    up.shows("ready")
    up.send(signal.SIGINT)
    up.shows("(?i)stopping")
    up.send(signal.SIGINT)
    assert up.ends(timeout=10) != 0
    assert scenario.row("deaf")["ExitCode"] == 137


def test_up_in_the_foreground_ends_with_its_containers(scenario: Scenario) -> None:
    scenario.compose("services: {once: {image: busybox, command: echo done here}}")
    up = scenario.start("up")
    assert up.ends() == 0
    assert "once-1" in up.text and "done here" in up.text and "exited with code 0" in up.text


def test_abort_on_container_exit_gives_the_exit_code(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          long: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
          short: {image: busybox, command: ["sh", "-c", "exit 7"], depends_on: [long]}
        """)
    up = scenario.start("up", "--abort-on-container-exit")
    assert up.ends() == 7
    assert scenario.state("long") == "exited"


def test_progress_is_alive_on_a_terminal_and_plain_in_a_pipe(two: Scenario) -> None:
    up = two.start("up", "-d", terminal=True)
    assert up.ends() == 0
    assert "\x1b[" in up.text and "✔" in up.text and "shop-web-1" in up.text
    down = two.stackup("down").ok()
    assert "\x1b[" not in down.out + down.err
    assert "container shop-web-1: removed" in down.err
