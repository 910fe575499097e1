"""What a project's systemd unit runs at boot and at shutdown; the unit itself is tested in a virtual machine."""

from __future__ import annotations

import pytest

from tests.support.scenario import Scenario

pytestmark = pytest.mark.root


def test_what_was_up_comes_back_and_what_was_stopped_does_not(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, command: sleep 1000, restart: always, stop_signal: SIGKILL}
          idle: {image: busybox, command: sleep 1000, restart: unless-stopped, stop_signal: SIGKILL}
          job: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
        """)
    scenario.stackup("systemd", "start").ok()
    assert {row["Service"] for row in scenario.ps()} == {"web", "idle", "job"}, "nothing was there: all of it"
    scenario.stackup("stop", "idle").ok()
    before = scenario.container_id("web")
    scenario.stackup("systemd", "stop").ok()
    assert scenario.ps() == []
    scenario.stackup("systemd", "start").ok()
    assert {row["Service"] for row in scenario.ps()} == {"web"}
    assert scenario.container_id("web") == before
    scenario.stackup("stop").ok()
    assert "nothing of project shop is to be started" in scenario.stackup("systemd", "start").ok().err


def test_no_systemd_here(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox}}")
    assert "ExecStart=" in scenario.stackup("systemd", "install", "--print").ok().out
    assert "stackup systemd install" in scenario.stackup("systemd", "status").refused(code=3).out
