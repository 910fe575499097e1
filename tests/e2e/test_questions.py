"""Commands that only ask: config, version, images, help."""

from __future__ import annotations

import json

import pytest

from tests.support.scenario import Scenario

pytestmark = pytest.mark.root


def test_version_and_help(empty_scenario: Scenario) -> None:
    assert empty_scenario.stackup("version").ok().out.startswith("stackup version ")
    assert "up" in empty_scenario.stackup("--help").ok().out


def test_config_fills_everything_in(empty_scenario: Scenario) -> None:
    empty_scenario.file(".env", "TAG=7\n")
    empty_scenario.compose("services: {web: {image: 'busybox:${TAG}', ports: ['8080:80']}}")
    config = json.loads(empty_scenario.stackup("config", "--format", "json").ok().out)
    assert config["name"] == "shop"
    assert config["services"]["web"]["image"] == "busybox:7"
    assert config["services"]["web"]["ports"] == [
        {"mode": "ingress", "target": 80, "published": "8080", "protocol": "tcp"}
    ]
    assert empty_scenario.stackup("config", "--services").ok().out == "web\n"


def test_ps_shows_what_docker_compose_shows(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, command: sleep 1000, ports: ["127.0.0.1:8080:80"], stop_signal: SIGKILL}
          once: {image: busybox, command: sh -c 'exit 3'}
        """)
    scenario.stackup("up", "-d").ok()
    scenario.has_state("once", "exited")
    assert [row["Service"] for row in scenario.ps()] == ["web"]
    rows = {row["Service"]: row for row in scenario.ps("-a")}
    assert rows["once"]["ExitCode"] == 3 and rows["once"]["Status"].startswith("Exited (3)")
    web = rows["web"]
    assert (web["Name"], web["Image"], web["Project"]) == ("shop-web-1", "busybox", "shop")
    assert web["Publishers"] == [{"URL": "127.0.0.1", "TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp"}]
    head, *lines = scenario.stackup("ps", "-a").ok().out.splitlines()
    assert head.split() == ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]
    assert len(lines) == 2
    assert scenario.stackup("ps", "-q").ok().out.startswith(scenario.container_id("web"))
