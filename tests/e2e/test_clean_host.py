"""``down --all`` and ``down --all --purge``: whatever state things are in, the machine is clean afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from stackup.base.names import CGROUP_PARENT
from stackup.runtime.cgroups import remove_cgroups
from tests.support import residue
from tests.support.cli import Cli
from tests.support.mounting import unmounted
from tests.support.residue import Watch
from tests.support.rootfs import busybox
from tests.support.scenario import Scenario
from tests.support.waiting import eventually, gone

pytestmark = pytest.mark.root

STACK = """
    services:
      web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, volumes: ["data:/data"], ports: ["8080:80"]}
    volumes: {data: {}}
    """


def up_elsewhere(scenario: Scenario, name: str) -> Cli:
    directory = scenario.directory.parent / name
    directory.mkdir()
    (directory / "compose.yaml").write_text(STACK.replace("8080:80", "80"))
    cli = Cli(scenario.root, directory)
    cli("up", "-d").ok()
    return cli


def kill_both(scenario: Scenario) -> None:
    """At one instant: neither has the time to replace the other."""
    pids = [scenario.daemon(kind) for kind in ("supervisor", "launcher")]
    for signum in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, signum)
    for pid in pids:
        gone(pid)


def test_every_project_goes_and_images_and_volumes_stay(scenario: Scenario, nothing_left: Watch) -> None:
    scenario.compose(STACK)
    scenario.stackup("up", "-d").ok()
    up_elsewhere(scenario, "blog")
    kill_both(scenario)
    planned = scenario.stackup("down", "--all", "--dry-run").ok()
    assert "blog-web-1" in planned.out and "shop-web-1" in planned.out
    assert scenario.state("web") == "running"
    scenario.stackup("down", "--all", "web").refused("cannot use --all together with services", code=64)
    scenario.stackup("down", "--all").ok()
    assert scenario.projects() == []
    nothing_left.assert_nothing_left()
    assert scenario.stackup("volume", "ls", "-q").ok().out.split() == ["blog_data", "shop_data"]
    assert "busybox" in scenario.stackup("images", "-a").ok().out
    assert "there is no project" in scenario.stackup("down", "--all").ok().err


def test_empty_groups_of_a_project_that_nobody_knows_go_too(scenario: Scenario) -> None:
    """Its state root was deleted, and its processes have ended since."""
    mark = scenario.root.name[-12:]
    old, young = (f"{CGROUP_PARENT}/{name}-{mark}@000000" for name in ("old", "young"))
    try:
        for group in (f"{old}/0123456789ab", young):
            for mount in residue.cgroup_mounts():
                (mount / group).mkdir(parents=True)
        for mount in residue.cgroup_mounts():
            for path in (mount / old, mount / old / "0123456789ab"):
                os.utime(path, (0, 0))
        scenario.stackup("down", "--all").ok()
        assert not any((mount / old).exists() for mount in residue.cgroup_mounts())
        assert all((mount / young).exists() for mount in residue.cgroup_mounts())
    finally:
        remove_cgroups(old, young)


def test_purge_leaves_nothing_at_all(scenario: Scenario, nothing_left: Watch) -> None:
    """One project runs, one has broken records and no processes of its own, one has only its processes."""
    scenario.compose(STACK)
    scenario.stackup("up", "-d").ok()
    scenario.stackup("network", "create", "edge").ok()
    kill_both(scenario)
    for file in (scenario.root / "lib/projects/shop").glob("records.db*"):
        file.write_bytes(b"no database" * 100)
    up_elsewhere(scenario, "blog")
    up_elsewhere(scenario, "lost")
    shutil.rmtree(scenario.root / "lib/projects/lost")
    shutil.rmtree(scenario.root / "run/projects/lost")
    scenario.stackup("down", "--all", "--purge").refused("nobody is there to confirm it", "--yes")
    told = scenario.stackup("down", "--all", "--purge", "--dry-run").ok().out
    for word in ("projects: blog, lost, shop", "volumes, with their data: blog_data", "networks: edge", "busybox"):
        assert word in told, told
    scenario.stackup("down", "--all", "--purge", "--yes").refused(
        "project shop could not be taken down properly", code=1
    )
    nothing_left.assert_nothing_left()
    assert not any((scenario.root / name).exists() for name in ("lib", "run"))
    assert not [path for path in residue.cgroup_mounts() if (path / CGROUP_PARENT).exists() and not others(path)]
    scenario.stackup("down", "--all", "--purge", "--yes").ok()
    scenario.stackup("down", "--purge").refused("without --all", code=64)


def others(hierarchy: Path) -> list[str]:
    """Projects of other state roots, which may run beside this test."""
    return [entry.name for entry in (hierarchy / CGROUP_PARENT).iterdir() if entry.is_dir()]


def test_a_mount_in_the_state_directory_keeps_its_files(scenario: Scenario) -> None:
    scenario.stackup("volume", "create", "data").ok()
    place = scenario.root / "lib/volumes/data/_data"
    subprocess.run(["mount", "-t", "tmpfs", "precious", str(place)], check=True)
    (place / "file").write_text("precious")
    scenario.stackup("down", "--all", "--purge", "-y").refused(f"something is mounted at {place}", f"umount {place}")
    assert (place / "file").read_text() == "precious"
    unmounted(place)
    scenario.stackup("down", "--all", "--purge", "-y").ok()


def test_a_killed_build_whose_state_root_was_deleted(scenario: Scenario, nothing_left: Watch) -> None:
    """Bridge, firewall table, ip_forward and control group are found by the name of a builder that is gone."""
    from tests.support.cleaning import clean

    root = scenario.root.with_name(scenario.root.name + "x")
    shutil.copytree(scenario.root, root, symlinks=True)
    other = Watch(root)
    directory = scenario.directory.parent / "builds"
    directory.mkdir()
    shutil.copy(busybox(), directory / "busybox")
    (directory / "compose.yaml").write_text("services: {web: {build: .}}")
    (directory / "Dockerfile").write_text("FROM busybox\nRUN echo begun; sleep 1000\n")
    live = Cli(root, directory).start("build")
    try:
        eventually(lambda: residue.links(), "the build's network is there", 4)
        eventually(lambda: [path for path in residue.cgroups(root) if "build." in str(path)], "its groups", 10)
        assert scenario.stackup("down", "--all").ok()
        assert residue.links(), "a living build is left alone"
        doomed = [process.pid for process in residue.all_processes() if residue.belongs(process.pid, root)]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # at once: none of them shall replace another
            for pid in doomed:
                os.kill(pid, number)
        live.kill()
        shutil.rmtree(root)
        eventually(lambda: len(residue.links()) == 1, "what is left is the bridge", 5)
        assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "1\n"
        scenario.stackup("down", "--all").ok()
        # Whose the empty control groups of the project itself were, nobody can tell any more.
        eventually(lambda: not residue.links(), "the bridge has gone")
        assert not [item for item in other.left() if item.kind != "cgroup" or "build." in item.what]
        nothing_left.assert_nothing_left()
    finally:
        live.kill()
        clean(other)
        shutil.rmtree(root, ignore_errors=True)


def findings(scenario: Scenario) -> dict[str, str]:
    done = scenario.stackup("doctor", "--format", "json")
    found = {item["id"]: item["scope"] for item in json.loads(done.out)["findings"] if item["level"] == "problem"}
    assert done.code == bool(found), str(done)
    return found


def test_the_doctor_finds_what_was_broken(scenario: Scenario, nothing_left: Watch) -> None:
    scenario.compose(STACK)
    scenario.stackup("up", "-d").ok()
    before = findings(scenario)
    assert not {*before.values()} - {"host"}
    kill_both(scenario)
    assert findings(scenario) == {**before, "launcher-dead": "shop"}
    shutil.rmtree(scenario.root / "lib/projects")
    shutil.rmtree(scenario.root / "run/projects")
    assert findings(scenario) == {**before, "leftover": "shop"}
    assert scenario.stackup("doctor").out.count("do:") >= 1
    scenario.stackup("down", "--all").ok()
    assert findings(scenario) == before
