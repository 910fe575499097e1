"""pause and unpause: nothing happens in a paused container, whoever dies meanwhile; stop and down end it still."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

STACK = """
    services:
      web:
        image: busybox
        command: ["sh", "-c", "trap 'echo bye; exit 0' TERM; while true; do echo x >> /shared/ticks; sleep 0.02; done"]
        volumes: ["./shared:/shared"]
        healthcheck: {test: "echo probe >> /shared/probes", interval: 100ms}
      db: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
    """


@pytest.fixture(params=["", "cgroup2_freeze"])
def shop(scenario: Scenario, request: pytest.FixtureRequest) -> Iterator[Scenario]:
    """With each of the kernel's freezers."""
    scenario.stackup.environment["STACKUP_WITHOUT"] = request.param
    scenario.compose(STACK)
    scenario.file("shared/ticks", "")
    scenario.stackup("up", "-d", "--wait").ok()
    yield scenario


def size(scenario: Scenario, name: str) -> int:
    return (scenario.directory / "shared" / name).stat().st_size


def goes_on(scenario: Scenario) -> None:
    before = size(scenario, "ticks")
    eventually(lambda: size(scenario, "ticks") > before + 4, "it goes on")


def stands_still(scenario: Scenario) -> None:
    """As seen over the time that a few commands take."""
    before = size(scenario, "ticks"), size(scenario, "probes")
    for _ in range(3):
        assert scenario.state("web") == "paused"
    assert (size(scenario, "ticks"), size(scenario, "probes")) == before


def actions(scenario: Scenario) -> list[str]:
    out = scenario.stackup("events", "--json", "--since", "1h", "--until", "0s", "web").ok().out
    return [json.loads(line)["action"] for line in out.splitlines()]


def test_a_paused_container(shop: Scenario) -> None:
    assert "container shop-web-1: paused" in shop.stackup("pause", "web").ok().err
    stands_still(shop)
    assert "(Paused)" in shop.stackup("ps", "--status", "paused").ok().out
    shop.exec("web", "true").refused("cannot execute in container shop-web-1: it is paused")
    shop.stackup("pause", "web").refused("cannot pause container shop-web-1: it is already paused")
    shop.stackup("unpause").refused("cannot unpause container shop-db-1: it is not paused")
    goes_on(shop)
    assert [item for item in actions(shop) if "pause" in item] == ["pause", "unpause"]
    shop.stackup("pause", "web").ok()
    assert "unpause  container shop-web-1  it is paused" in shop.stackup("plan").says_changes().out
    shop.stackup("up", "-d").ok()
    goes_on(shop)
    shop.has_health("web", "healthy")


def test_the_end_of_a_paused_container(shop: Scenario) -> None:
    shop.stackup("pause").ok()
    shop.stackup("stop").ok()
    assert "bye" in shop.logs("web")
    shop.stackup("pause").ok()
    shop.stackup("start").ok()
    shop.stackup("pause").ok()
    shop.stackup("kill").ok()
    assert shop.state("web") == "exited"
    shop.stackup("up", "-d").ok()
    shop.stackup("pause").ok()
    shop.stackup("down").ok()
    assert shop.ps("-a") == []


@pytest.mark.parametrize("kinds", [["supervisor"], ["launcher", "supervisor"]])
def test_nobody_wakes_it_by_dying(shop: Scenario, kinds: list[str]) -> None:
    shop.stackup("pause", "web").ok()
    for kind in kinds:
        shop.kill_daemon(kind)
    stands_still(shop)
    shop.stackup("unpause", "web").ok()
    goes_on(shop)
