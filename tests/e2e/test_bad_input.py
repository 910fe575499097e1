"""Whatever is wrong: one clear error that says where, exit code != 0, and nothing half-made stays behind."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.cli import stackup_command
from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

FINE = "services: {web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}}\n"


def refused(scenario: Scenario, *words: str) -> None:
    """``config`` and ``up`` say so, and nothing is there afterwards."""
    for command in (("config",), ("up", "-d")):
        scenario.stackup(*command).refused(*words)
    eventually(lambda: scenario.projects() == [], "no project is left")


def test_no_file_at_all(scenario: Scenario) -> None:
    scenario.stackup("up", "-d").refused("compose.yaml")


def test_a_file_that_is_not_there(scenario: Scenario) -> None:
    scenario.stackup("-f", "other.yaml", "up", "-d").refused("other.yaml")


def test_invalid_yaml(scenario: Scenario) -> None:
    scenario.compose("services:\n  web:\n    image: busybox\n   command: x\n")
    refused(scenario, r"compose\.yaml:4")


def test_an_unknown_key_with_a_suggestion(scenario: Scenario) -> None:
    scenario.compose("services:\n  web:\n    image: busybox\n    comand: x\n")
    refused(scenario, r"compose\.yaml:4:5", "comand", "did you mean.*command")


def test_a_wrong_type(scenario: Scenario) -> None:
    scenario.compose("services:\n  web:\n    image: busybox\n    ports: 80\n")
    refused(scenario, r"compose\.yaml:4:12", "ports")


def test_everything_wrong_is_said_at_once(scenario: Scenario) -> None:
    scenario.compose("services:\n  web:\n    image: 5\n    ports: 80\n  db: {imge: x}\n")
    refused(scenario, r":3:", r":4:", r":5:")


def test_a_dependency_cycle_is_spelt_out(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          a: {image: busybox, depends_on: [b]}
          b: {image: busybox, depends_on: [c]}
          c: {image: busybox, depends_on: [a]}
        """)
    refused(scenario, "a -> b -> c -> a")
    scenario.stackup("plan").refused("a -> b -> c -> a")


def test_a_dependency_on_nothing(scenario: Scenario) -> None:
    scenario.compose("services:\n  web:\n    image: busybox\n    depends_on: [stroe]\n  store: {image: busybox}\n")
    refused(scenario, r"compose\.yaml:4", "stroe", "did you mean.*store")


def test_a_missing_env_file(scenario: Scenario) -> None:
    scenario.compose("services:\n  web:\n    image: busybox\n    env_file: no.env\n")
    scenario.stackup("up", "-d").refused("no.env", r"compose\.yaml:4")


def test_a_required_variable_that_is_not_set(scenario: Scenario) -> None:
    scenario.compose("services:\n  web:\n    image: ${IMAGE:?set it to something}\n")
    refused(scenario, "IMAGE", "set it to something", r"compose\.yaml:3")


def test_an_image_that_is_nowhere(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: 'no-such-image:1'}}")
    scenario.stackup("up", "-d", timeout=30).refused("no-such-image:1")
    assert scenario.ps("-a") == []


def test_a_command_that_is_not_in_the_image(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, command: [no-such-command, -x]}}")
    scenario.stackup("up", "-d").refused("no-such-command", "PATH", "web")


def test_what_cannot_start_points_at_its_attribute(scenario: Scenario) -> None:
    """One after the other beside a service that runs on: so that the supervisor does, too. What could not be started
    stays, to be looked at."""
    tail = "  other: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}\n"
    scenario.compose(f"services:\n{tail}")
    scenario.stackup("up", "-d").ok()
    for attribute, column, words in (
        ("command: [no-such-command]", 5, "command not found"),
        ("entrypoint: /etc", 5, "is a directory"),
        ("working_dir: /etc/passwd", 18, "not a directory"),
        ("user: bob", 11, "no such user"),
        ("devices: [/dev/no-such-device]", 15, "no such device"),
        ("sysctls: {net.no.such: 1}", 28, "none of that name"),
        ("sysctls: {vm.swappiness: 1}", 30, "the whole machine"),
        ("ulimits: {nofile: 999999999999}", 15, "exceeds"),
        ("cap_add: [NET_ADMN]", 15, "NET_ADMIN"),
        ("mem_limit: 1k", 16, "memory limit is too low"),
        ("stop_signal: SIGFOO", 18, "no such signal"),
        ("ports: ['203.0.113.9:80:80']", 13, "no address 203.0.113.9"),
        ("build: ./nowhere", 12, "no such directory"),
    ):
        command = "" if "command" in attribute else "    command: sleep 1000\n"
        scenario.compose(f"services:\n  web:\n    image: busybox\n    {attribute}\n{command}{tail}")
        scenario.stackup("up", "-d", "--build").refused(rf"compose\.yaml:4:{column}\n", words)
        states = {row["Service"]: row["State"] for row in scenario.ps("-a")}
        assert states == {"other": "running", "web": "exited"}, attribute


def test_a_port_of_another_project(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, command: sleep 1000, ports: ['18081:80'], init: true}}")
    scenario.stackup("up", "-d").ok()
    scenario.stackup("-p", "other", "up", "-d").refused(
        "18081 is in use by container shop-web-1", r"compose\.yaml:1:63"
    )
    scenario.stackup("-p", "other", "down").ok()


def test_every_mistake_of_a_dockerfile(scenario: Scenario) -> None:
    scenario.file("Dockerfile", "FROM busybox\nEXPSE 80\nCOPY --form=a b c\nEXPOSE x\n")
    scenario.compose("services:\n  web:\n    build: .\n")
    for command in (("build",), ("up", "-d")):
        scenario.stackup(*command).refused(
            r"Dockerfile:2:1", "EXPOSE", r"Dockerfile:3:6", "--from", r"Dockerfile:4:1", "3 errors"
        )


def test_a_bind_source_that_is_not_there(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            volumes: [{type: bind, source: ./nowhere, target: /x}]
        """)
    scenario.stackup("up", "-d").refused("nowhere")
    assert scenario.ps("-a") == []


def test_the_docker_socket(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, volumes: ['/var/run/docker.sock:/var/run/docker.sock']}}")
    scenario.stackup("up", "-d").refused(r"compose\.yaml:1:44", "docker.sock", "engine", "--yes", "x-stackup")
    assert "  ? service web mounts /var/run/docker.sock" in scenario.stackup("plan").out
    assert "up asks about services.web.volumes[0]" in scenario.stackup("config", "-q").ok().err
    assert "?" not in scenario.stackup("plan", "--yes").out
    assert scenario.ps("-a") == []


def test_plan_refuses_at_once_what_no_container_could_have(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            stop_signal: SIGFOO
            cap_add: [NET_ADMN]
            network_mode: hsot
            tmpfs: /run:sized=1
        """)
    for command in (("plan",), ("up", "--dry-run"), ("up", "-d")):
        scenario.stackup(*command).refused("SIGFOO", "NET_ADMIN", "'host'", "sized", "4 errors")
    assert "up refuses this" in scenario.stackup("config", "-q").ok().err
    scenario.compose("""
        services:
          web:
            image: busybox
            user: bob
            devices: [/dev/no-such-device]
            volumes: [{type: bind, source: ./nowhere, target: /x}]
        """)
    for command in (("plan",), ("up", "--dry-run"), ("up", "-d")):
        scenario.stackup(*command).refused("bob", "no-such-device", "nowhere", "3 errors")
    assert scenario.ps("-a") == []


def test_the_engines_own_network_is_the_projects_default_one(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, command: sleep 1000, init: true, network_mode: bridge}
          other: {image: busybox, command: sleep 1000, init: true}
        """)
    scenario.stackup("up", "-d").ok()
    scenario.stackup("exec", "-T", "other", "ping", "-c", "1", "-W", "2", "web").ok()


def test_a_user_that_is_not_in_the_image(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, user: bob, command: sleep 1}}")
    scenario.stackup("up", "-d").refused("bob")
    assert scenario.ps("-a") == []


def test_an_archive_that_is_none(scenario: Scenario) -> None:
    scenario.file("rubbish.tar", "this is no archive\n" * 100)
    scenario.stackup("import", "rubbish.tar", "rubbish").refused("rubbish.tar")
    assert "rubbish" not in scenario.stackup("images", "-a").ok().out


def test_an_unknown_service(scenario: Scenario) -> None:
    scenario.compose(FINE)
    scenario.stackup("up", "-d", "wbe").refused("wbe")
    scenario.stackup("up", "-d").ok()
    for command in ("stop", "start", "restart", "kill", "ps"):
        scenario.stackup(command, "wbe").refused("wbe")


@pytest.mark.parametrize("arguments", [["uo"], ["up", "--detatch"], ["up", "--scale", "web"], ["exec"], ["-f"]])
def test_a_wrong_command_line(scenario: Scenario, arguments: list[str]) -> None:
    scenario.compose(FINE)
    scenario.stackup(*arguments).refused(code=64)


def test_without_root(scenario: Scenario) -> None:
    scenario.compose(FINE)
    # As user 1000 of a user namespace: no root, and yet able to read a tree that lies below /root.
    done = subprocess.run(
        ["unshare", "--user", "--map-user=1000", "--map-group=1000", *stackup_command(), "up", "-d"],
        cwd=scenario.directory, env=scenario.stackup.env(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and "sudo" in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_two_ups_at_once_both_end_well(scenario: Scenario) -> None:
    scenario.compose(FINE)
    first, second = scenario.start("up", "-d"), scenario.start("up", "-d")
    assert (first.ends(), second.ends()) == (0, 0)
    assert len(scenario.ps()) == 1


def test_a_deleted_working_directory_is_no_traceback(scenario: Scenario) -> None:
    scenario.compose(FINE)
    scenario.stackup("up", "-d").ok()
    (scenario.directory / "compose.yaml").unlink()
    scenario.stackup("ps").refused("compose.yaml")
    assert "web" in scenario.stackup("-p", "shop", "ps").ok().out
    scenario.stackup("-p", "shop", "down").ok()
