"""create, scale, rm, wait, top, port, and the flags of up that decide what is made and removed."""

from __future__ import annotations

import pytest

from tests.support.scenario import Scenario

pytestmark = pytest.mark.root

SLEEPER = "{image: busybox, command: sleep 1000, stop_signal: SIGKILL}"


def test_create_then_up_starts_what_is_there(scenario: Scenario) -> None:
    scenario.compose(f"services: {{web: {SLEEPER}}}")
    scenario.stackup("create").ok()
    made = scenario.row("web")
    assert made["State"] == "created"
    scenario.stackup("up", "-d").ok()
    assert scenario.row("web")["ID"] == made["ID"]
    assert scenario.state("web") == "running"


def test_up_no_start(scenario: Scenario) -> None:
    scenario.compose(f"services: {{web: {SLEEPER}}}")
    scenario.stackup("up", "--no-start").ok()
    assert scenario.state("web") == "created"


def test_scale_leaves_the_containers_that_stay(scenario: Scenario) -> None:
    scenario.compose(f"services: {{web: {SLEEPER}, db: {SLEEPER}}}")
    scenario.stackup("up", "-d").ok()
    first = scenario.container_id("web")
    plan = scenario.stackup("scale", "web=3", "--dry-run").ok().out
    assert "scaled up to 3" in plan and "shop-db" not in plan
    scenario.stackup("scale", "web=3").ok()
    rows = [row for row in scenario.ps() if row["Service"] == "web"]
    assert [row["Name"] for row in rows] == ["shop-web-1", "shop-web-2", "shop-web-3"]
    assert rows[0]["ID"] == first
    scenario.stackup("scale", "web=1").ok()
    assert scenario.container_id("web") == first
    scenario.stackup("scale", "nope=2").refused("no such service: nope|there is no such service", code=64)
    scenario.stackup("scale", "web").refused("not SERVICE=NUMBER", code=64)


def test_rm_takes_what_has_ended_and_asks_first(scenario: Scenario) -> None:
    scenario.compose(f'services: {{web: {SLEEPER}, once: {{image: busybox, command: "true", volumes: [/data]}}}}')
    scenario.stackup("up", "-d").ok()
    scenario.has_state("once", "exited")
    scenario.stackup("rm").refused("nobody is there to confirm it", "--force")
    scenario.stackup("rm", "-f", "-v").ok()
    assert [row["Service"] for row in scenario.ps("-a")] == ["web"]
    assert not list((scenario.root / "lib/volumes").glob("[0-9a-f]*"))
    assert "no stopped containers" in scenario.stackup("rm", "-f").ok().err
    scenario.stackup("rm", "-fs", "web").ok()
    assert scenario.ps("-a") == []


def test_wait_answers_the_exit_code(scenario: Scenario) -> None:
    scenario.compose(f"""
        services:
          web: {SLEEPER}
          job: {{image: busybox, command: ["sh", "-c", "sleep 0.5; exit 3"]}}
        """)
    scenario.stackup("up", "-d").ok()
    done = scenario.stackup("wait", "job")
    assert done.code == 3
    assert done.out.strip() == "container shop-job-1 exited with status code 3"
    assert scenario.stackup("wait", "--down-project", "job", "web").code == 3
    assert scenario.ps("-a") == []


def test_port_and_top(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, command: sleep 1000, ports: ["127.0.0.1:8080:80"], stop_signal: SIGKILL}
        """)
    scenario.stackup("up", "-d").ok()
    assert scenario.stackup("port", "web", "80").ok().out.strip() == "127.0.0.1:8080"
    scenario.stackup("port", "web", "81").refused("does not publish it")
    lines = scenario.stackup("top").ok().out.splitlines()
    assert lines[0].split()[:4] == ["SERVICE", "#", "UID", "PID"]
    assert lines[1].split()[3] == str(scenario.pid("web"))
    assert lines[1].endswith("sleep 1000")


def test_two_files_of_one_directory_do_not_call_each_other_orphans(scenario: Scenario) -> None:
    scenario.file("a.yaml", f"services: {{one: {SLEEPER}}}")
    other = scenario.file("b.yaml", f"services: {{two: {SLEEPER}}}")

    def services() -> set[str]:
        return set(scenario.stackup("-f", "a.yaml", "ps", "--services").ok().out.split())

    scenario.stackup("-f", "a.yaml", "up", "-d").ok()
    again = scenario.stackup("-f", "b.yaml", "up", "-d", "--remove-orphans").ok()
    assert "shop-one" not in again.err and "stackup -p shop -f" in again.err
    assert services() == {"one", "two"}
    first = scenario.stackup("-f", "a.yaml", "ps", "-q", "one").ok().out
    down = scenario.stackup("-f", "b.yaml", "down", "-v").ok()
    assert "shop_default stays: shop-one-1 uses it" in down.err and "orphans" not in down.err
    assert services() == {"one"} and scenario.stackup("-f", "a.yaml", "ps", "-q").ok().out == first
    scenario.stackup("-f", "b.yaml", "up", "-d").ok()
    other.unlink()
    told = scenario.stackup("-f", "a.yaml", "up", "-d").ok()
    assert "shop-two-1" in told.err and "--remove-orphans" in told.err
    told = scenario.stackup("-f", "a.yaml", "down", "--dry-run").ok()
    assert "shop-one-1" in told.out and "remove  container shop-two" not in told.out
    assert "--remove-orphans" in told.out
    scenario.stackup("-f", "a.yaml", "up", "-d", "--remove-orphans").ok()
    assert services() == {"one"}
    scenario.file("b.yaml", f"services: {{two: {SLEEPER}}}")
    scenario.stackup("-f", "b.yaml", "up", "-d").ok()
    scenario.stackup("-f", "b.yaml", "down", "--remove-orphans").ok()
    assert services() == set()


def test_flags_that_name_services_refuse_unknown_ones(scenario: Scenario) -> None:
    scenario.compose(f"services: {{web: {SLEEPER}}}")
    scenario.stackup("up", "--exit-code-from", "wbe").refused("--exit-code-from wbe", "no such service")
    scenario.stackup("up", "--attach", "wbe").refused("--attach wbe", "no such service")
    assert scenario.ps("-a") == []


def test_anonymous_volumes_are_inherited_and_renewed(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          db: {image: busybox, command: sleep 1000, volumes: [/data], environment: {A: "1"}, stop_signal: SIGKILL}
        """)
    scenario.stackup("up", "-d").ok()
    scenario.run_in("db", "echo kept > /data/file")
    scenario.replace('"1"', '"2"')
    scenario.stackup("up", "-d").ok()
    assert scenario.run_in("db", "cat /data/file; echo $A") == "kept\n2"
    scenario.stackup("up", "-d", "-V", "--force-recreate").ok()
    assert scenario.run_in("db", "ls /data") == ""
    assert len(list((scenario.root / "lib/volumes").glob("[0-9a-f]*"))) == 1
