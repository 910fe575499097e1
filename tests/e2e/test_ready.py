"""x-stackup.ready: readiness seen from outside, without a program in the image."""

from __future__ import annotations

import time

import pytest

from tests.support.scenario import Scenario

pytestmark = pytest.mark.root

EACH = """
    services:
      tcp: {image: busybox, command: "sh -c 'sleep 0.3; exec httpd -f -p 8081'", x-stackup: {ready: {tcp: 8081}}}
      http:
        image: busybox
        command: "sh -c 'mkdir -p /www/ok; echo fine > /www/ok/index.html; exec httpd -f -p 80 -h /www'"
        x-stackup: {ready: {http: {port: 80, path: /ok/, status: [200], headers: {X-Probe: "1"}}}}
      log:
        image: busybox
        command: "sh -c 'echo listening on 1; sleep 0.2; echo listening on 2 >&2; exec sleep 1000'"
        x-stackup: {ready: {log: {pattern: "listening on [0-9]", times: 2}}}
      file:
        image: busybox
        command: "sh -c 'sleep 0.2; ln -s /run/there /run/ready; touch /run/there; exec sleep 1000'"
        tmpfs: /run
        x-stackup: {ready: {file: /run/ready}}
      exec:
        image: busybox
        command: "sh -c 'sleep 0.2; touch /tmp/well; exec sleep 1000'"
        x-stackup: {ready: {exec: test -e /tmp/well}}
      alone: {image: busybox, command: "httpd -f -p 80", network_mode: none, x-stackup: {ready: {tcp: 80}}}
      last:
        image: busybox
        command: sleep 1000
        depends_on:
          tcp: {condition: service_healthy}
          http: {condition: service_healthy}
          log: {condition: service_healthy}
          file: {condition: service_healthy}
          exec: {condition: service_healthy}
          alone: {condition: service_healthy}
    """


def test_each_kind_of_probe_makes_a_service_healthy(scenario: Scenario) -> None:
    scenario.compose(EACH)
    scenario.stackup("up", "-d", "--wait").ok()
    states = {row["Service"]: row["Health"] for row in scenario.ps()}
    assert states.pop("last") == ""
    assert set(states.values()) == {"healthy"}
    assert len(states) == 6


def test_what_is_seen_instead_is_told(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: httpd -f -p 80
            x-stackup: {ready: {http: {path: /missing}, interval: 50ms, retries: 2}}
          shut:
            image: busybox
            command: sleep 1000
            x-stackup: {ready: {tcp: 4321, interval: 50ms, retries: 2}}
          last:
            image: busybox
            command: sleep 1000
            depends_on: {web: {condition: service_healthy}, shut: {condition: service_healthy}}
        """)
    begin = time.monotonic()
    done = scenario.stackup("up", "-d").refused("unhealthy")
    assert "its last probe said: 404 Not Found, wanted 200 to 399" in done.err
    assert "4321: Connection refused" in done.err
    assert time.monotonic() - begin < 20
    scenario.stackup("down", "-t", "0").ok()


def test_a_line_of_the_run_before_does_not_count(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: "sh -c 'test -e /tmp/second || echo ready; touch /tmp/second; exec sleep 1000'"
            stop_signal: SIGKILL
            x-stackup: {ready: {log: ready, interval: 100ms, retries: 3}}
        """)
    scenario.stackup("up", "-d", "--wait").ok()
    scenario.stackup("restart").ok()
    scenario.has_health("web", "unhealthy")
