"""Run inside the machine, with systemd as its init: stackup beside the owner of the cgroup tree."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackup.base.names import CGROUP_PARENT
from stackup.linux.cgroups import Hierarchies, groups_of, read_file
from tests.e2e.conftest import busybox_images, empty_scenario, project_directory, scenario  # noqa: F401
from tests.support.cli import stackup_command
from tests.support.scenario import Scenario
from tests.support.waiting import eventually, gone

pytestmark = pytest.mark.root

STACK = """
    services:
      web:
        image: busybox
        command: sleep 1000
        mem_limit: 32m
        pids_limit: 20
        cpus: 0.5
        stop_signal: SIGKILL
    """


def systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()


class Session:
    """As a login has it: a unit of its own, whose whole control group is killed when it ends."""

    def __init__(self, scenario: Scenario, command: str) -> None:  # noqa: F811
        self.unit = "session-of-a-test.service"
        subprocess.run(
            [
                *("systemd-run", "--quiet", f"--unit={self.unit}", "--collect", "-p", "KillMode=control-group"),
                *("-p", f"WorkingDirectory={scenario.directory}", f"--setenv=STACKUP_ROOT={scenario.root}"),
                *("sh", "-c", command),
            ],
            check=True,
        )
        self.pid = int(systemctl("show", "-P", "MainPID", self.unit))

    def end(self) -> None:
        systemctl("kill", "--signal=KILL", self.unit)
        systemctl("stop", self.unit)
        gone(self.pid)


@pytest.fixture
def stack(scenario: Scenario) -> Iterator[Scenario]:  # noqa: F811
    scenario.compose(STACK)
    yield scenario
    systemctl("stop", "session-of-a-test.service")


def everybody(stack: Scenario) -> dict[str, int]:
    return {"web": stack.pid("web"), **{kind: stack.daemon(kind) for kind in ("launcher", "supervisor")}}


def setting(stack: Scenario, name: str) -> str:
    group = groups_of(stack.pid("web"))[-1]
    return read_file(f"/sys/fs/cgroup{group}/{name}")


def test_this_is_systemd_and_cgroup_v2() -> None:
    assert os.readlink("/proc/1/exe").endswith("/systemd")
    assert Hierarchies.of_this_host().unified


@pytest.mark.parametrize("how", ["up -d --wait; exec sleep 1000", "up"])
def test_a_project_outlives_the_session_that_started_it(stack: Scenario, how: str) -> None:
    session = Session(stack, f"{stackup_command()[0]} {how}")
    stack.has_state("web", "running", 30)
    before = everybody(stack)
    for kind, pid in before.items():
        assert groups_of(pid)[-1].startswith(f"/{CGROUP_PARENT}/"), kind
    session.end()
    assert everybody(stack) == before
    assert stack.state("web") == "running"
    assert stack.run_in("web", "echo inside") == "inside"


def test_limits_hold_whatever_systemd_does_to_its_tree(stack: Scenario) -> None:
    stack.stackup("up", "-d").ok()
    wanted = {"memory.max": str(32 << 20), "pids.max": "20", "cpu.max": "50000 100000"}
    for act in (("daemon-reload",), ("daemon-reexec",), ("set-property", "--runtime", "system.slice", "CPUWeight=200")):
        systemctl(*act)
        subprocess.run(["systemd-run", "--quiet", "--wait", "--collect", "-p", "MemoryMax=50M", "true"], check=True)
        assert {name: setting(stack, name) for name in wanted} == wanted, act
    before = everybody(stack)
    stack.replace("32m", "24m")
    stack.stackup("up", "-d").ok()
    assert setting(stack, "memory.max") == str(24 << 20)
    assert everybody(stack)["launcher"] == before["launcher"]


def test_killed_for_memory_is_said(stack: Scenario) -> None:
    stack.replace("sleep 1000", 'sh -c "x=0123456789abcdef; while :; do x=$$x$$x; done"')
    stack.stackup("up", "-d").ok()
    stack.has_state("web", "exited", 30)
    assert stack.row("web")["ExitCode"] == 137
    assert systemctl("is-failed", "system.slice") != "failed"


def test_both_killed_and_taken_over_by_a_command_of_another_session(stack: Scenario) -> None:
    stack.stackup("up", "-d").ok()
    web = stack.pid("web")
    stack.kill_daemon("launcher")
    session = Session(stack, f"{stackup_command()[0]} ps; {stackup_command()[0]} up -d; exec sleep 1000")
    eventually(lambda: stack.daemon("launcher"), "a new launcher", 30)
    stack.has_state("web", "running", 30)
    eventually(lambda: groups_of(stack.daemon("supervisor"))[-1].startswith(f"/{CGROUP_PARENT}/"), "own group")
    before = everybody(stack)
    session.end()
    assert everybody(stack) == before
    assert stack.pid("web") == web


def test_nothing_of_it_is_left_in_the_tree(stack: Scenario) -> None:
    stack.stackup("up", "-d").ok()
    stack.stackup("down").ok()
    eventually(lambda: not list(Path("/sys/fs/cgroup").glob(f"{CGROUP_PARENT}/*")), "the groups are gone")
