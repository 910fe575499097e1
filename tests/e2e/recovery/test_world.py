"""What else befalls a project: another command, a hang-up, a reboot, a full disk, damaged records, a pid used again."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support import residue
from tests.support.mounting import unmounted
from tests.support.residue import Watch
from tests.support.scenario import Scenario
from tests.support.waiting import eventually, gone, page

pytestmark = pytest.mark.root

SLOW = """
    services:
      first:
        image: busybox
        command: sleep 1000
        healthcheck: {test: "test -e /well", interval: 100ms, retries: 1000}
        stop_signal: SIGKILL
      second:
        image: busybox
        command: sleep 1000
        depends_on: {first: {condition: service_healthy}}
        stop_signal: SIGKILL
    """
WEB = """
    services:
      web:
        image: busybox
        command: httpd -f -p 80 -h /etc
        ports: ["8080:80"]
        volumes: ["data:/data"]
        restart: always
        stop_signal: SIGKILL
      plain: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
    volumes: {data: {}}
    """


def kill_both(scenario: Scenario) -> None:
    """At one instant: neither has the time to replace the other."""
    pids = [scenario.daemon(kind) for kind in ("launcher", "supervisor")]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    for pid in pids:
        gone(pid)


def change_states(scenario: Scenario, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Edits what is recorded of every container. No supervisor may run."""
    with sqlite3.connect(scenario.root / f"lib/projects/{scenario.project}/records.db") as records:
        for identity, text in records.execute("SELECT id, state FROM containers").fetchall():
            changed = json.dumps({**json.loads(text), **change(json.loads(text))})
            records.execute("UPDATE containers SET state = ? WHERE id = ?", (changed, identity))
    records.close()


# ------------------------------------------------------------------------------------------------ several commands


def test_a_second_up_and_a_down_wait_and_say_for_whom(scenario: Scenario) -> None:
    scenario.compose(SLOW)
    first = scenario.start("up", "-d")
    eventually(lambda: [row for row in scenario.ps() if row["Service"] == "first"], "first runs")
    second = scenario.start("up", "-d", "--no-recreate")
    second.shows(rf"waiting for `stackup up -d` \(process {first.process.pid}\)")
    down = scenario.start("down")
    down.shows(r"waiting for `stackup up -d`")
    given_up = scenario.start("stop")
    given_up.shows("waiting for")
    given_up.send(signal.SIGINT)
    assert given_up.ends() == 130
    scenario.run_in("first", "touch /well")
    assert first.ends() == 0, first.text
    assert second.ends() == 0, second.text
    assert down.ends() == 0, down.text
    assert scenario.ps("-a") == []


def test_an_interrupted_wait_for_an_attached_up_stops_nothing(scenario: Scenario) -> None:
    scenario.compose(SLOW)
    first = scenario.start("up", "-d")
    eventually(lambda: [row for row in scenario.ps() if row["Service"] == "first"], "first runs")
    attached = scenario.start("up")
    attached.shows("waiting for")
    attached.send(signal.SIGINT)
    assert attached.ends() == 130
    scenario.run_in("first", "touch /well")
    assert first.ends() == 0
    assert {row["State"] for row in scenario.ps()} == {"running"}


def test_ctrl_c_asks_and_a_second_one_kills(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          deaf:
            image: busybox
            command: [sh, -c, "trap 'echo heard' TERM; echo ready; while :; do sleep 0.1; done"]
            stop_grace_period: 60s
        """)
    up = scenario.start("up", "--no-color")
    up.shows("ready")
    up.send(signal.SIGINT)
    up.shows("heard")
    up.send(signal.SIGINT)
    assert up.ends(15) == 130
    assert scenario.row("deaf")["ExitCode"] == 137


def test_a_terminal_that_vanishes_leaves_the_project_running(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, command: [sh, -c, 'echo up; sleep 1000'], stop_signal: KILL}}")
    up = scenario.start("up", terminal=True)
    up.shows("web-1.*up")
    os.close(up.fd)
    assert up.process.wait(10) != 0
    assert scenario.state("web") == "running"


def test_a_terminal_that_vanishes_in_the_middle_of_up(scenario: Scenario) -> None:
    scenario.compose(SLOW)
    up = scenario.start("up", terminal=True)
    up.shows("first")
    os.close(up.fd)
    assert up.process.wait(10) != 0
    scenario.has_state("first", "running")
    scenario.run_in("first", "touch /well")
    scenario.has_state("second", "running")


# ---------------------------------------------------------------------------------------------------------- reboots


def removed(group: Path) -> bool:
    """A killed process leaves its cgroup a little after it has left /proc."""
    with suppress(OSError):
        group.rmdir()
    return not group.exists()


def test_after_a_reboot_everything_is_down_and_up_brings_it_back(scenario: Scenario, nothing_left: Watch) -> None:
    scenario.compose(WEB)
    scenario.stackup("up", "-d").ok()
    scenario.run_in("web", "echo kept > /data/file; echo also > /etc/file")
    pids = [pid for service in ("web", "plain") for pid in scenario.pids(service)]
    kill_both(scenario)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        gone(pid)
    change_states(scenario, lambda state: {"boot_id": "another"})
    subprocess.run(["rm", "-r", str(scenario.root / "run")], check=True)
    for name in residue.links():
        subprocess.run(["ip", "link", "delete", name.split()[0]], check=False, capture_output=True)
    for table in residue.nft_tables():
        subprocess.run(["nft", "delete", "table", *table.split()], check=True)
    for group in residue.cgroups(scenario.root):
        eventually(lambda group=group: removed(group), f"{group} is empty")
    for name in ("ip_forward", "conf/all/accept_redirects"):
        Path("/proc/sys/net/ipv4", name).write_text(nothing_left.sysctls["net.ipv4." + name.replace("/", ".")])
    for row in scenario.ps("-a"):
        assert (row["State"], row["ExitUnknown"]) == ("exited", True), row
    scenario.stackup("up", "-d").ok()
    assert scenario.run_in("web", "cat /data/file /etc/file") == "kept\nalso"
    assert "root:" in page("http://127.0.0.1:8080/passwd")


def test_a_command_after_a_reboot_starts_nothing_by_itself(scenario: Scenario) -> None:
    scenario.compose("services: {loop: {image: busybox, command: 'false', restart: always}}")
    scenario.stackup("up", "-d").ok()
    eventually(lambda: "Restarting" in scenario.row("loop")["Status"], "it restarts")
    kill_both(scenario)
    change_states(scenario, lambda state: {"boot_id": "another"})
    scenario.stackup("stop").ok()
    assert scenario.state("loop") == "exited"


def test_a_pid_that_was_used_again_is_not_touched(scenario: Scenario) -> None:
    scenario.compose(WEB)
    scenario.stackup("up", "-d").ok()
    pids = [pid for service in ("web", "plain") for pid in scenario.pids(service)]
    kill_both(scenario)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        gone(pid)
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        try:
            started = int(Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19])
            change_states(scenario, lambda state: {"pid": stranger.pid, "start_time": started})
            scenario.stackup("stop", "plain", "-t", "1").ok()
            assert scenario.row("plain")["ExitUnknown"]
            scenario.has_state("web", "running")
            assert scenario.pid("web") != stranger.pid
            scenario.stackup("down", "-t", "1").ok()
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_port_taken_while_nobody_was_there_does_not_stop_the_others(scenario: Scenario) -> None:
    import socket

    scenario.compose(WEB)
    scenario.stackup("up", "-d").ok()
    kill_both(scenario)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("0.0.0.0", 8080))
        thief.listen()
        scenario.stackup("up", "-d").ok()
        assert {row["State"] for row in scenario.ps()} == {"running"}


# ---------------------------------------------------------------------------------------------------------- records


def test_records_of_a_newer_stackup_are_refused_and_left_alone(scenario: Scenario) -> None:
    scenario.compose(WEB)
    scenario.stackup("up", "-d").ok()
    before = {name: scenario.pid(name) for name in ("web", "plain")}
    kill_both(scenario)
    path = scenario.root / f"lib/projects/{scenario.project}/records.db"

    def schema(number: int) -> None:
        with sqlite3.connect(path) as records:
            records.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(number),))
        records.close()

    schema(99)
    for command in (["up", "-d"], ["down"], ["ps"]):
        scenario.stackup(*command).refused("newer stackup", "upgrade stackup")
    schema(1)
    # The supervisor that could not open the project may be telling so for another moment.
    eventually(lambda: scenario.stackup("up", "-d").code == 0, "the records are read again")
    assert {name: scenario.pid(name) for name in before} == before


def test_damaged_records_are_told_with_a_way_on(scenario: Scenario, nothing_left: Watch) -> None:
    scenario.compose(WEB)
    scenario.stackup("up", "-d").ok()
    kill_both(scenario)
    path = scenario.root / f"lib/projects/{scenario.project}/records.db"
    for file in path.parent.glob("records.db-*"):
        file.unlink()
    path.write_bytes(b"this is no database" * 1000)
    scenario.stackup("ps").refused("records.db")
    scenario.stackup("plan").refused("records.db")
    told = scenario.stackup("down").refused("records cannot be read", f"mv {path} {path}.damaged")
    assert "down" in told.err
    path.rename(f"{path}.damaged")
    scenario.stackup("down").ok()
    volume = scenario.root / "lib/volumes"
    assert [entry for entry in volume.iterdir() if "data" in entry.name]
    scenario.stackup("down", "-v").ok()
    nothing_left.assert_nothing_left()


# ------------------------------------------------------------------------------------------------------------ disks


@pytest.fixture
def read_only(scenario: Scenario) -> Iterator[None]:
    root = str(scenario.root)
    subprocess.run(["mount", "--bind", root, root], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
    yield
    unmounted(root)


def test_a_state_directory_that_cannot_be_written(scenario: Scenario, read_only: None) -> None:
    scenario.compose(WEB)
    scenario.stackup("up", "-d").refused("[Rr]ead-only file system", "STACKUP_ROOT")
    assert scenario.stackup("ps").ok()


@pytest.fixture
def small_disk(state_root: Path) -> Iterator[Path]:
    """The state root on a file system of 24 MB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0755", "small", str(state_root)], check=True)
    yield state_root
    subprocess.run(["umount", "--lazy", str(state_root)], check=False, capture_output=True)


def fill(directory: Path, *, but: int) -> Path:
    """A file that leaves ``but`` bytes of the file system."""
    found = os.statvfs(directory)
    path = directory / "filler"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - but)
    return path


def test_a_full_disk_is_back_pressure_not_loss(small_disk: Path, scenario: Scenario) -> None:
    """It fills while a container writes; another one ends and is restarted, and the supervisor is killed, meanwhile."""
    (scenario.directory / "shared").mkdir()
    os.mkfifo(scenario.directory / "shared/go")
    scenario.compose("""
        services:
          printer:
            image: busybox
            command: [sh, -c, "read go < /shared/go; seq 500000; echo end; exec sleep 1000"]
            volumes: ["./shared:/shared"]
            stop_signal: SIGKILL
          ends: {image: busybox, command: sleep 1000, restart: always, stop_signal: SIGKILL}
        """)
    scenario.stackup("up", "-d").ok()
    filler = fill(small_disk, but=1 << 20)
    with (scenario.directory / "shared/go").open("w") as go:
        go.write("go\n")
    eventually(lambda: "No space left" in scenario.row("printer")["Notice"], "ps says so", 20)
    printer, ends = scenario.pid("printer"), scenario.pid("ends")
    os.kill(ends, signal.SIGKILL)
    gone(ends)
    scenario.kill_daemon("supervisor")
    assert "No space left" in str(scenario.stackup("up", "-d")) or scenario.pid("printer") == printer
    filler.unlink()
    eventually(lambda: scenario.logs("-n", "1", "printer").strip() == "end", "the last line", 30)
    assert scenario.logs("printer").split() == [*map(str, range(1, 500001)), "end"]
    assert scenario.pid("printer") == printer
    scenario.has_state("ends", "running")
    assert scenario.row("printer")["Notice"] == ""


def test_down_works_on_a_full_disk(small_disk: Path, scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}}")
    scenario.stackup("up", "-d").ok()
    filler = fill(small_disk, but=0)
    scenario.stackup("up", "-d", "--force-recreate").refused("No space left|database or disk is full")
    scenario.stackup("down").ok()
    filler.unlink()
