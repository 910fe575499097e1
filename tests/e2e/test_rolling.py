"""Rolling updates: batches, gated on health; what happens when one fails; and the way back."""

from __future__ import annotations

import pytest

from tests.support.scenario import Scenario

pytestmark = pytest.mark.root

STACK = """
    services:
      web:
        image: busybox
        command: ["sh", "-c", "test $$GOOD = yes && touch /tmp/well; exec sleep 1000"]
        environment: {GOOD: "yes", COLOUR: blue}
        healthcheck: {test: ls /tmp/well, interval: 200ms, retries: 3}
        stop_signal: SIGKILL
        deploy:
          replicas: 3
          update_config: {parallelism: 1, monitor: 200ms, ACTION}
    """


def stack(scenario: Scenario, action: str) -> None:
    scenario.compose(STACK.replace("ACTION", action))
    scenario.stackup("up", "-d", "--wait").ok()


def colours(scenario: Scenario) -> list[str]:
    """Of the running containers, in the order of their numbers."""
    rows = sorted(row["Name"] for row in scenario.ps() if row["State"] == "running")
    return [
        scenario.stackup("exec", "-T", "--index", name.rpartition("-")[2], "web", "sh", "-c", "echo $COLOUR")
        .ok()
        .out.strip()
        for name in rows
    ]


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_one_after_the_other(scenario: Scenario, order: str) -> None:
    stack(scenario, f"order: {order}, delay: 100ms")
    scenario.replace("blue", "green")
    assert "pause   service web for 0.1 s" in scenario.stackup("plan").says_changes().out
    done = scenario.stackup("up", "-d").ok()
    assert (
        done.err.index("shop-web-1: steady")
        < done.err.index("shop-web-2: steady")
        < done.err.index("shop-web-3: steady")
    )
    assert colours(scenario) == ["green", "green", "green"]
    assert scenario.stackup("plan").ok().out.strip() == "shop: nothing to do"


def test_a_failure_stops_the_update(scenario: Scenario) -> None:
    stack(scenario, "failure_action: pause")
    scenario.replace("blue", "green")
    scenario.replace('"yes"', '"no"')
    done = scenario.stackup("up", "-d").refused("cannot update service web: container shop-web-1 is unhealthy")
    assert "its last probe said: ls: /tmp/well" in done.err
    assert "said: /tmp/well" not in done.err
    assert colours(scenario) == ["green", "blue", "blue"]


def test_start_first_keeps_what_works(scenario: Scenario) -> None:
    stack(scenario, "order: start-first")
    before = {row["ID"] for row in scenario.ps()}
    scenario.replace('"yes"', '"no"')
    done = scenario.stackup("up", "-d").refused("cannot update service web", "its last probe said: ls: /tmp/well")
    assert "said: /tmp/well" not in done.err
    assert {row["ID"] for row in scenario.ps("-a")} == before


def test_a_failure_that_is_tolerated(scenario: Scenario) -> None:
    stack(scenario, "failure_action: continue")
    scenario.replace("blue", "green")
    scenario.replace('"yes"', '"no"')
    done = scenario.stackup("up", "-d").ok()
    assert "is unhealthy; the update goes on" in done.err
    assert colours(scenario) == ["green", "green", "green"]


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_a_failure_rolls_back(scenario: Scenario, order: str) -> None:
    stack(scenario, f"failure_action: rollback, order: {order}")
    scenario.replace("blue", "green")
    scenario.stackup("up", "-d").ok()
    scenario.replace("green", "red")
    scenario.replace('"yes"', '"no"')
    done = scenario.stackup("up", "-d").refused("cannot update service web")
    assert "its update has failed and is rolled back" in done.err
    assert colours(scenario) == ["green", "green", "green"]
    assert scenario.stackup("plan").says_changes()
    shown = scenario.stackup("rollback", "--dry-run", "web").ok().out
    assert 'rolled back: environment.COLOUR: "green" -> "blue"' in shown
    steps = scenario.stackup("history", "--steps", "-n", "1").ok().out
    assert "failed         watch container shop-web-1" in steps
    assert "skipped        start container shop-web-2" in steps
    assert "done           remove container shop-web-3 (the change has failed)" in steps


def test_rollback_and_forth(scenario: Scenario) -> None:
    stack(scenario, "order: stop-first")
    scenario.stackup("rollback", "web").refused("no configuration before the present one is known")
    scenario.replace("blue", "green")
    scenario.stackup("up", "-d").ok()
    shown = scenario.stackup("rollback", "--dry-run", "web").ok().out
    assert 'rolled back: environment.COLOUR: "green" -> "blue"' in shown
    assert colours(scenario) == ["green", "green", "green"]
    scenario.stackup("rollback", "web").ok()
    assert colours(scenario) == ["blue", "blue", "blue"]
    assert 'environment.COLOUR: "blue" -> "green"' in scenario.stackup("plan").says_changes().out
    scenario.stackup("rollback", "web").ok()
    assert colours(scenario) == ["green", "green", "green"]
    assert scenario.stackup("plan").ok().out.strip() == "shop: nothing to do"
