"""plan touches nothing; a saved plan is applied exactly, or not at all."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

STACK = """
    services:
      web:
        image: busybox
        command: sleep 1000
        environment: {COLOUR: "${COLOUR:-blue}"}
        volumes: ["data:/data"]
        stop_signal: SIGKILL
      machine: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: [web]}
    networks: {elsewhere: {external: true}}
    volumes: {data: {}}
    """


def traces(scenario: Scenario) -> dict[str, object]:
    """Everything that a command could leave: files with their times, processes, links, nft tables."""
    found: dict[str, object] = {}
    for top in (scenario.root, scenario.directory):
        for path in [top, *sorted(top.rglob("*"))]:
            seen = path.lstat()
            # The copies for the image host are hard links, whose change time others move who link or unlink them.
            changed = seen.st_ctime_ns if stat.S_ISDIR(seen.st_mode) or seen.st_nlink == 1 else 0
            found[str(path)] = (seen.st_mode, seen.st_size, seen.st_ino, seen.st_mtime_ns, changed)
    found["processes"] = sorted(process.command for process in scenario.processes())
    for command in (["ip", "-o", "link"], ["nft", "list", "tables"], ["findmnt", "-rn", "-o", "TARGET"]):
        found[command[0]] = subprocess.run(command, capture_output=True, text=True).stdout
    return found


@pytest.mark.parametrize("before", ["nothing", "down", "stopped", "running"])
def test_a_plan_touches_nothing(scenario: Scenario, before: str) -> None:
    scenario.compose(STACK)
    if before == "nothing":
        scenario.replace("machine: {image: busybox", "machine: {image: host")  # looking at it must copy nothing
        for place in ("projects", "cache", "run"):
            assert not (scenario.root / place).exists()
    else:
        scenario.stackup("up", "-d").ok()
    if before in ("down", "stopped"):
        scenario.stackup("down" if before == "down" else "stop").ok()
        eventually(lambda: not scenario.processes(), "its processes are gone")
    seen = traces(scenario)
    for command in (("plan",), ("plan", "--format", "json"), ("up", "--dry-run"), ("down", "--dry-run")):
        done = scenario.stackup(*command)
        assert done.code in (0, 2), str(done)
        now = traces(scenario)
        assert not {key for key in {*seen, *now} if seen.get(key) != now.get(key)}, command
    scenario.file("compose.yaml", "services: {web: {image: [}}")
    broken = traces(scenario)
    scenario.stackup("plan").refused("compose.yaml")
    assert traces(scenario) == broken


def test_the_plan_of_a_stopped_project_is_that_of_its_supervisor(scenario: Scenario) -> None:
    scenario.compose(STACK)
    scenario.stackup("up", "-d").ok()
    scenario.replace("blue", "green")
    told = scenario.stackup("plan").says_changes().out
    assert 'environment.COLOUR: "blue" -> "green"' in told
    assert scenario.stackup("plan").says_changes().out == told
    scenario.stackup("stop").ok()
    eventually(lambda: not scenario.processes(), "its processes are gone")
    offline = scenario.stackup("plan").says_changes().out
    assert 'environment.COLOUR: "blue" -> "green"' in offline
    assert "start   container shop-machine-1" in offline


def test_a_saved_plan_is_applied(scenario: Scenario) -> None:
    scenario.compose(STACK)
    scenario.stackup("plan", "--out", "plan.json").says_changes()
    path = scenario.directory / "plan.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    saved = json.loads(path.read_text())
    assert [action["id"] for action in saved["actions"]][-1] == "start shop-machine-1"
    elsewhere = Path(scenario.directory.parent)
    scenario.stackup.directory = elsewhere
    scenario.stackup("apply", str(path)).ok()
    scenario.stackup.directory = scenario.directory
    assert {row["Service"] for row in scenario.ps()} == {"web", "machine"}
    scenario.stackup("apply", "plan.json").refused("cannot apply plan.json", "things have changed")


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ("file", "the stack file, or a variable in it, has changed"),
        ("variable", "the stack file, or a variable in it, has changed"),
        ("world", "would take also to start container shop-web-1"),
        ("image", "an image has changed"),
        ("plan", "somebody has edited it"),
    ],
)
def test_a_plan_that_no_longer_holds_is_refused(scenario: Scenario, edit: str, says: str) -> None:
    scenario.compose(STACK)
    scenario.stackup("up", "-d").ok()
    scenario.replace("sleep 1000, stop_signal", "sleep 1001, stop_signal")
    scenario.stackup("plan", "--out", "plan.json").says_changes()
    env = {}
    if edit == "file":
        scenario.replace("sleep 1001", "sleep 1002")
    elif edit == "variable":
        env = {"COLOUR": "red"}
    elif edit == "world":
        scenario.stackup("kill", "web").ok()
    elif edit == "image":
        rootfs = scenario.directory / "rootfs"
        rootfs.mkdir()
        (rootfs / "file").write_text("another image")
        scenario.stackup("import", "-q", str(rootfs), "busybox").ok()
    else:
        path = scenario.directory / "plan.json"
        path.write_text(path.read_text().replace("shop-machine-1", "shop-web-1"))
    before = {row["ID"]: row["State"] for row in scenario.ps("-a")}
    scenario.stackup("apply", "plan.json", env=env).refused("cannot apply plan.json", says)
    assert {row["ID"]: row["State"] for row in scenario.ps("-a")} == before


def test_what_is_no_plan(scenario: Scenario) -> None:
    scenario.file("plan.json", '{"version": 1}')
    scenario.stackup("apply", "plan.json").refused("it is no saved plan", code=64)
    scenario.stackup("apply", "none.json").refused("No such file", code=64)


def test_a_question_is_in_the_plan_and_needs_a_yes(scenario: Scenario) -> None:
    scenario.compose(STACK)
    scenario.stackup("up", "-d").ok()
    scenario.run_in("web", "echo precious > /data/file")
    scenario.replace("volumes: {data: {}}", "volumes: {data: {labels: {tier: db}}}")
    out = scenario.stackup("plan", "--format", "json").out
    question = json.loads(out)["questions"][0]
    assert question["id"] == "remake volume shop_data" and question["default"] is False
    assert "volume shop_data is kept" in scenario.stackup("up", "-d").ok().err  # nobody is there to be asked
    live = scenario.start("up", "-d", "--scale", "web=2", terminal=True)
    live.shows(r"\[y/N\]")
    live.type("n\n")
    live.shows("volume shop_data is kept")
    assert live.ends() == 0 and len(scenario.ps()) == 3
    scenario.stackup("up", "-d").ok()
    assert scenario.run_in("web", "cat /data/file") == "precious"
    scenario.replace("{labels: {tier: db}}", "{driver_opts: {type: tmpfs, device: tmpfs}}")
    scenario.stackup("up", "-d").refused("Its data would be lost")
    scenario.replace("{driver_opts: {type: tmpfs, device: tmpfs}}", "{labels: {tier: db}}")
    scenario.stackup("plan", "--yes", "--out", "plan.json").says_changes()
    scenario.stackup("apply", "plan.json").ok()
    assert scenario.run_in("web", "ls /data") == ""
