"""Edits that need no new container: the process stays the same, and what was edited holds, also after a crash."""

from __future__ import annotations

import os
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support import residue
from tests.support.faults import Faults
from tests.support.scenario import Scenario
from tests.support.waiting import eventually, page

pytestmark = pytest.mark.root

STACK = """
    services:
      web:
        image: busybox
        command: httpd -f -p 80 -h /www
        volumes: ["./www:/www:ro"]
        ports: ["8080:80", "8443:80"]
        mem_limit: 64m
        stop_signal: SIGKILL
        restart: "no"
      peer: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
    """


@pytest.fixture
def stack(scenario: Scenario) -> Scenario:
    scenario.compose(STACK)
    scenario.file("www/index.html", "hello")
    return scenario


def limit(scenario: Scenario, *names: str) -> str:
    """Of the first of the files ``names`` that the container's control groups have: version 2 or 1."""
    short = scenario.container_id("web")[:12]
    for directory in residue.cgroups(scenario.root):
        for name in names if short in str(directory) else ():
            path = Path(directory) / name
            if path.exists():
                return path.read_text().strip()
    return "none"


def closed(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).read()
    except (urllib.error.URLError, ConnectionError):
        return True
    return False


def same(scenario: Scenario, pid: int) -> None:
    """Nothing is left to do, and the process is the one that was there before."""
    assert scenario.stackup("plan").ok().out.strip() == "shop: nothing to do"
    assert scenario.pid("web") == pid


def test_ports_limits_and_names_change_under_a_running_container(stack: Scenario) -> None:
    stack.stackup("up", "-d").ok()
    pid = stack.pid("web")
    stack.replace('"8080:80"', '"8081:80"')
    stack.replace("mem_limit: 64m", "mem_limit: 128m\n    cpus: 0.5\n    pids_limit: 50")
    stack.replace(
        "stop_signal: SIGKILL\n    restart",
        "stop_signal: SIGKILL\n    networks: {default: {aliases: [front]}}\n    restart",
    )
    plan = stack.stackup("plan").says_changes().out
    assert "update  container shop-web-1  changed in place:" in plan
    assert "ports.80/tcp" in plan or "ports: " in plan
    assert "create" not in plan
    stack.stackup("up", "-d").ok()
    same(stack, pid)
    assert page("http://127.0.0.1:8081/").strip() == "hello"
    assert page("http://127.0.0.1:8443/").strip() == "hello"
    assert closed(8080)
    assert limit(stack, "memory.max", "memory.limit_in_bytes") == str(128 << 20)
    assert limit(stack, "pids.max") == "50"
    assert limit(stack, "cpu.max", "cpu.cfs_quota_us").split()[0] == "50000"
    assert stack.run_in("peer", "wget -q -O - http://front/") == "hello"
    assert "8081" in stack.stackup("ps").ok().out


def test_what_was_changed_outlives_a_restart_and_a_crash(stack: Scenario) -> None:
    stack.stackup("up", "-d").ok()
    stack.replace('"8080:80"', '"8081:80"')
    stack.replace("64m", "128m")
    stack.stackup("up", "-d").ok()
    pid = stack.pid("web")
    stack.kill_daemon("supervisor")
    stack.daemon("supervisor")
    same(stack, pid)
    assert page("http://127.0.0.1:8081/").strip() == "hello"
    stack.stackup("restart", "web").ok()
    assert page("http://127.0.0.1:8081/").strip() == "hello"
    assert limit(stack, "memory.max", "memory.limit_in_bytes") == str(128 << 20)


def test_limits_can_be_taken_away(stack: Scenario) -> None:
    stack.stackup("up", "-d").ok()
    pid, limited = stack.pid("web"), limit(stack, "memory.max", "memory.limit_in_bytes")
    stack.replace("    mem_limit: 64m\n", "")
    stack.stackup("up", "-d").ok()
    same(stack, pid)
    now = limit(stack, "memory.max", "memory.limit_in_bytes")
    assert limited == str(64 << 20)
    assert now == "max" or int(now) > 1 << 40


def test_a_memory_limit_below_what_is_used_is_refused(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: ["sh", "-c", "head -c 30000000 /dev/zero > /dev/shm/filled; echo filled; exec sleep 1000"]
            shm_size: 64m
            mem_limit: 100m
            stop_signal: SIGKILL
        """)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: "filled" in scenario.logs("web"), "memory is used")
    pid = scenario.pid("web")
    scenario.replace("100m", "10m")
    scenario.stackup("up", "-d").refused("it uses [0-9]+ now", "--force-recreate")
    assert scenario.pid("web") == pid
    scenario.replace("10m", "100m")
    assert "an update of it was cut short" in scenario.stackup("plan").says_changes().out
    scenario.stackup("up", "-d").ok()
    same(scenario, pid)


def test_health_check_and_restart_policy_change_while_it_runs(stack: Scenario) -> None:
    stack.stackup("up", "-d").ok()
    pid = stack.pid("web")
    stack.replace(
        'restart: "no"', 'restart: always\n    healthcheck: {test: "test -e /tmp/well", interval: 100ms, retries: 2}'
    )
    stack.stackup("up", "-d").ok()
    same(stack, pid)
    stack.has_health("web", "unhealthy")
    stack.run_in("web", "touch /tmp/well")
    stack.has_health("web", "healthy")
    first = stack.pid("web")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: stack.pid("web") != first, "the new policy starts it again")


def test_a_taken_port_leaves_the_old_one(stack: Scenario) -> None:
    stack.stackup("up", "-d").ok()
    pid = stack.pid("web")
    with socket.socket() as other:
        other.bind(("0.0.0.0", 8081))
        other.listen()
        stack.replace('"8080:80"', '"8081:80"')
        stack.stackup("up", "-d").refused("8081 is in use")
        assert page("http://127.0.0.1:8080/").strip() == "hello"
    stack.stackup("up", "-d").ok()
    same(stack, pid)
    assert closed(8080)


@pytest.mark.parametrize("whom", ["supervisor", "all"])
def test_killed_in_the_middle_the_next_up_finishes_it(stack: Scenario, whom: str) -> None:
    faults = Faults(stack)
    stack.stackup("up", "-d").ok()
    pid = stack.pid("web")
    faults.watch()
    stack.replace('"8080:80"', '"8081:80"')
    stack.replace("64m", "96m")
    stack.stackup("up", "-d").ok()
    instants = [name for name in faults.instants() if "web" in name]
    assert any("updated" in name for name in instants), instants
    ports, sizes = ["8081", "8082"], ["96m", "64m"]
    for at in instants:
        stack.replace(f'"{ports[0]}:80"', f'"{ports[1]}:80"')
        stack.replace(sizes[0], sizes[1])
        ports.reverse()
        sizes.reverse()
        faults.arm(whom, at)
        stack.stackup("up", "-d")
        assert faults.struck(), at
        stack.stackup("up", "-d").ok()
        same(stack, pid)
        assert page(f"http://127.0.0.1:{ports[0]}/").strip() == "hello", at
        assert closed(int(ports[1])), at
        assert limit(stack, "memory.max", "memory.limit_in_bytes") == str(int(sizes[0][:-1]) << 20), at


def test_a_changed_network_keeps_the_containers(stack: Scenario) -> None:
    stack.stackup("up", "-d").ok()
    ids = stack.container_id("web"), stack.container_id("peer")
    stack.run_in("peer", "echo mine > /note")
    stack.file(
        "compose.yaml", (stack.directory / "compose.yaml").read_text() + "networks: {default: {internal: true}}\n"
    )
    assert "network shop_default is made anew" in stack.stackup("plan").says_changes().out
    stack.stackup("up", "-d").ok()
    assert (stack.container_id("web"), stack.container_id("peer")) == ids
    assert stack.run_in("peer", "cat /note; wget -q -O - http://web/") == "mine\nhello"
    assert stack.stackup("plan").ok().out.strip() == "shop: nothing to do"
