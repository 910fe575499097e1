"""kill -9 and SIGTERM of the supervisor, the launcher, both, the command line and containers: a pause, not a loss."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
from pathlib import Path

import pytest

from tests.support.faults import seed
from tests.support.scenario import Scenario
from tests.support.waiting import eventually, gone, page

pytestmark = pytest.mark.root

LINES = 2000
PRINTER = f"""
    services:
      printer:
        image: busybox
        command:
          - sh
          - -c
          - |
            i=0
            while [ $$i -lt {LINES} ]; do
              echo "line $$i of what must not be torn"; echo "other $$i" >&2
              i=$$((i+1)); echo $$i > /shared/progress; usleep 2000
            done
            echo end; exec sleep 1000
        volumes: ["./shared:/shared"]
        stop_signal: SIGKILL
    """


def kill(scenario: Scenario, *kinds: str, signum: int = signal.SIGKILL) -> None:
    """All of them at once; answers when they are gone."""
    pids = [scenario.daemon(kind) for kind in kinds]
    # Stopped first: between two signals one of them could replace the other.
    for number in (signal.SIGSTOP, signum) if signum == signal.SIGKILL else (signum,):
        for pid in pids:
            os.kill(pid, number)
    for pid in pids:
        gone(pid)


def both_are_back(scenario: Scenario, old: set[int]) -> None:
    eventually(lambda: not {scenario.daemon("launcher"), scenario.daemon("supervisor")} & old, "new processes", 5)


def test_no_line_is_lost_or_torn_through_kills_of_everything(scenario: Scenario) -> None:
    shared = scenario.directory / "shared"
    shared.mkdir()
    scenario.compose(PRINTER)
    scenario.stackup("up", "-d").ok()
    draw = random.Random(seed())

    def progress() -> int:
        return int((shared / "progress").read_text() or 0) if (shared / "progress").exists() else 0

    def prints_on(lines: int) -> None:
        mark = min(progress() + lines, LINES)
        eventually(lambda: progress() >= mark, f"{lines} more lines", 20)

    prints_on(50)
    before = scenario.pid("printer")
    ways = [("supervisor",), ("launcher",), ("launcher", "supervisor"), ("supervisor", "launcher")]
    draw.shuffle(ways)
    for way in ways:
        kill(scenario, *way)
        prints_on(draw.randrange(20, 300))  # also while nobody is there who reads
        if len(way) == 2:
            scenario.stackup("up", "-d").ok()
        prints_on(20)
    assert scenario.pid("printer") == before
    eventually(lambda: progress() == LINES, f"the container is done (it is at line {progress()})", 60)
    eventually(lambda: scenario.logs("-n", "1").rstrip().endswith("end"), "the last line")
    found = scenario.stackup("logs", "--no-log-prefix").ok()
    expected = [f"line {number} of what must not be torn" for number in range(LINES)]
    assert found.out.splitlines() == [*expected, "end"]
    assert found.err.splitlines() == [f"other {number}" for number in range(LINES)]


def test_a_container_that_writes_while_nobody_reads_waits_and_goes_on(scenario: Scenario) -> None:
    """More than a pipe holds."""
    (scenario.directory / "shared").mkdir()
    scenario.compose("""
        services:
          printer:
            image: busybox
            command: ["sh", "-c", "echo ready; read go < /shared/go; seq 400000; echo end; exec sleep 1000"]
            volumes: ["./shared:/shared"]
            stop_signal: SIGKILL
        """)
    go = scenario.directory / "shared/go"
    os.mkfifo(go)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: "ready" in scenario.logs(), "ready")
    printer = scenario.pid("printer")
    kill(scenario, "launcher", "supervisor")
    with go.open("w") as file:
        file.write("go\n")

    def child() -> int | None:
        text = Path(f"/proc/{printer}/task/{printer}/children").read_text().split()
        return next((int(pid) for pid in text if Path(f"/proc/{pid}/wchan").read_text() == "pipe_write"), None)

    if Path("/proc/self/wchan").read_text() != "0":
        eventually(child, "it waits in write")
    assert os.path.exists(f"/proc/{printer}")
    scenario.stackup("up", "-d").ok()
    eventually(lambda: scenario.logs("-n", "1").strip() == "end", "the last line", 30)
    assert scenario.logs().split() == ["ready", *map(str, range(1, 400001)), "end"]


@pytest.mark.parametrize("whom", [["supervisor"], ["launcher"], ["launcher", "supervisor"]], ids="-".join)
def test_sigterm_is_a_change_of_guard(scenario: Scenario, whom: list[str]) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, command: httpd -f -p 80 -h /etc, ports: ["8080:80"], stop_signal: SIGKILL}
        """)
    scenario.stackup("up", "-d").ok()
    web, old = scenario.pid("web"), {scenario.daemon("launcher"), scenario.daemon("supervisor")}
    for _ in range(3):
        kill(scenario, *whom, signum=signal.SIGTERM)
        if "launcher" in whom:
            for pid in old:
                gone(pid)
            both_are_back(scenario, old)  # though nobody asks for anything
        assert scenario.stackup("ps").ok().err == ""  # they are at work
        old = {scenario.daemon("launcher"), scenario.daemon("supervisor")}
    assert "was destroyed" not in "".join(path.read_text() for path in scenario.root.rglob("supervisor.log"))
    scenario.stackup("up", "-d").ok()
    assert scenario.pid("web") == web
    assert "root:" in page("http://127.0.0.1:8080/passwd")
    assert scenario.state("web") == "running"


def test_both_killed_then_every_command(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, command: [sh, -c, "echo hello; exec sleep 1000"], stop_signal: SIGKILL}
        """)
    for command in (["ps"], ["logs"], ["stop"], ["up", "-d"], ["exec", "-T", "web", "true"], ["restart"], ["down"]):
        scenario.stackup("up", "-d").ok()
        eventually(lambda: "hello" in scenario.logs(), "hello")
        kill(scenario, "launcher", "supervisor")
        done = scenario.stackup(*command).ok()
        assert command != ["logs"] or "hello" in done.out
        assert command != ["ps"] or "web" in done.out


@pytest.mark.parametrize("command", [["ps"], ["top"], ["logs"]], ids=["ps", "top", "logs"])
def test_looking_is_enough_to_take_over(scenario: Scenario, command: list[str]) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, restart: always}
          done: {image: busybox, command: "true"}
        """)
    scenario.stackup("up", "-d").ok()
    web = scenario.pid("web")
    kill(scenario, "launcher", "supervisor")
    os.kill(web, signal.SIGKILL)
    assert "its supervisor and launcher had died" in scenario.stackup(*command).ok().err
    eventually(lambda: scenario.pid("web") != web, "it was started again")
    scenario.stackup("stop").ok()
    gone(scenario.daemon("supervisor"))
    assert scenario.stackup("ps", "-a").ok().err == ""
    assert not [item for item in scenario.processes() if "supervisor" in item.command]


def test_each_policy_after_a_kill(scenario: Scenario) -> None:
    scenario.compose("""
        x-base: &base {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
        services:
          none: {<<: *base}
          always: {<<: *base, restart: always}
          unless: {<<: *base, restart: unless-stopped}
          failure: {<<: *base, restart: on-failure}
          once: {<<: *base, restart: "on-failure:1"}
        """)
    scenario.stackup("up", "-d").ok()
    for _ in range(2):
        names = [row["Service"] for row in scenario.ps()]
        before = {name: scenario.pid(name) for name in names}
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
            gone(pid)
        for name in {"always", "unless", "failure"}:
            eventually(lambda name=name, old=before[name]: scenario.pid(name) != old, f"{name} is back")
    assert scenario.has_state("none", "exited")["ExitCode"] == 137
    assert scenario.has_state("once", "exited")["ExitCode"] == 137


def test_a_crash_loop_is_taken_down_at_once(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          loop: {image: busybox, command: "false", restart: always}
          slow: {image: busybox, command: "nothing-like-this", restart: always, depends_on: [loop]}
        """)
    scenario.stackup("up", "-d").refused("nothing-like-this")
    eventually(lambda: "Restarting" in scenario.row("loop")["Status"], "it restarts")
    scenario.stackup("stop").ok()
    assert scenario.has_state("loop", "exited")
    scenario.stackup("start", "loop").ok()
    eventually(lambda: "Restarting" in scenario.row("loop")["Status"], "it restarts again")
    scenario.stackup("down").ok()


def test_restarts_in_a_row_keep_names_and_ports(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, command: httpd -f -p 80 -h /etc, ports: ["8080:80"], stop_signal: SIGKILL}
          client: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
        """)
    scenario.stackup("up", "-d").ok()
    for _ in range(4):
        scenario.stackup("restart", "web").ok()
    assert "root:" in page("http://127.0.0.1:8080/passwd")
    assert "root:" in scenario.run_in("client", "wget -q -O - http://web/passwd")


def test_interrupts_at_any_moment_leave_no_process_behind(scenario: Scenario) -> None:
    services = "\n".join(
        f"          s{number}: {{image: busybox, command: sleep 1000, stop_signal: SIGKILL}}" for number in range(6)
    )
    scenario.compose(f"        services:\n{services}\n")
    draw = random.Random(seed())
    for _ in range(5):
        up = scenario.start("up", "--no-color")
        up.shows(draw.choice(["create", "Creat", "s0", "start"]) + "|s\\d")
        up.read(draw.random() / 4)
        up.send(signal.SIGINT)
        assert up.ends() == 130, up.text
        assert scenario.ps() == []
        assert not [row for row in scenario.ps("-a") if scenario.pids(row["Service"])]


def test_a_killed_command_line_leaves_the_work_to_the_supervisor(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          first:
            image: busybox
            command: sleep 1000
            healthcheck: {test: "test -e /well", interval: 100ms, retries: 1000}
            stop_signal: SIGKILL
          second: {image: busybox, command: sleep 1000, depends_on: {first: {condition: service_healthy}},
                   stop_signal: SIGKILL}
        """)
    up = scenario.start("up", "-d")
    eventually(
        lambda: [row for row in scenario.ps() if (row["Service"], row["State"]) == ("first", "running")], "first"
    )
    up.send(signal.SIGKILL)
    up.ends()
    scenario.run_in("first", "touch /well")
    scenario.has_state("second", "running")


def test_the_successor_answers(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}}")
    scenario.stackup("up", "-d").ok()
    for _ in range(3):
        scenario.kill_daemon("supervisor")
        assert re.search(r"\bUp\b", scenario.stackup("ps").ok().out)


def test_many_descriptors_are_for_stackup_not_for_containers(scenario: Scenario) -> None:
    """Several are held for each container; the usual soft limit would end at some hundred of them."""
    scenario.compose("services: {web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}}")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        scenario.stackup("up", "-d").ok()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    scenario.kill_daemon("supervisor")
    for pid in (scenario.daemon("launcher"), scenario.daemon("supervisor")):
        eventually(lambda pid=pid: len(set(resource.prlimit(pid, resource.RLIMIT_NOFILE))) == 1, "a raised limit")
    assert resource.prlimit(scenario.pid("web"), resource.RLIMIT_NOFILE)[0] == 1024
    assert scenario.run_in("web", "ulimit -Sn") == "1024"


def test_what_ends_while_a_successor_takes_over_has_ended(scenario: Scenario) -> None:
    """Twenty containers that end one after the other around the time at which the successor takes them over."""
    scenario.compose("""
        services:
          job:
            image: busybox
            scale: 20
            stop_signal: SIGKILL
            volumes: ["./go:/go"]
            command:
              - sh
              - -c
              - |
                number=1$$(echo $$HOSTNAME | tr -dc 0-9 | tail -c 2)
                while [ ! -e /go/now ]; do usleep 5000; done
                usleep $$(($$number % 100 * 10000))
        """)
    (scenario.directory / "go").mkdir()
    scenario.stackup("up", "-d").ok()
    scenario.file("go/now", "")
    kill(scenario, "supervisor")

    def over() -> bool:
        return {row["State"] for row in scenario.ps("-a")} == {"exited"}

    eventually(over, "all have ended", 5)
    scenario.stackup("up", "-d").ok()
    scenario.stackup("down").ok()


def test_commands_go_on_with_the_successor(scenario: Scenario) -> None:
    """Who follows sees every line once, who waits gets what he waits for."""
    scenario.compose("""
        services:
          first:
            image: busybox
            command: "sh -c 'i=0; while :; do echo line $$i; i=$$((i+1)); usleep 5000; done'"
            healthcheck: {test: "test -e /well", interval: 100ms, retries: 1000}
            stop_signal: SIGKILL
          second: {image: busybox, command: sleep 1000, depends_on: {first: {condition: service_healthy}},
                   stop_signal: SIGKILL}
        """)
    up = scenario.start("up", "--wait")
    eventually(lambda: scenario.state("first") == "running", "first runs")
    logs = scenario.start("logs", "-f", "--no-log-prefix", "first")
    events = scenario.start("events", "--json")
    waiting = scenario.start("wait", "first")
    for number in (50, 100):
        logs.shows(rf"line {number}\n")
        scenario.kill_daemon("supervisor")
    scenario.run_in("first", "touch /well")
    assert up.ends() == 0, up.text
    scenario.has_state("second", "running")
    scenario.stackup("kill", "first").ok()
    assert waiting.ends() == 137, waiting.text
    events.shows(r'"die"')
    scenario.stackup("stop").ok()
    logs.ends()
    seen = [int(line.split()[1]) for line in logs.text.splitlines() if line.startswith("line ")]
    assert seen == list(range(len(seen)))
    assert "its successor goes on" in logs.text
    events.send(signal.SIGINT)
    events.ends()
    happened = [json.loads(line) for line in events.text.splitlines() if line.startswith("{")]
    assert [(item["service"], item["action"]) for item in happened].count(("second", "start")) == 1


def test_what_runs_inside_is_run_once(scenario: Scenario) -> None:
    """The supervisor is killed in the middle of ``exec``, which has had nothing to say yet."""
    scenario.compose("services: {web: {image: busybox, command: sleep 1000, init: true, stop_signal: SIGKILL}}")
    scenario.stackup("up", "-d").ok()
    script = "echo run >> /count; echo begin; while [ ! -e /go ]; do usleep 5000; done"
    inside = scenario.start("exec", "-T", "web", "sh", "-c", script)
    inside.shows("begin")
    scenario.kill_daemon("supervisor")
    assert scenario.run_in("web", "touch /go; cat /count") == "run"
    assert inside.ends() != 0, inside.text
    assert "cannot finish exec: the supervisor of project" in inside.text
    assert scenario.run_in("web", "cat /count") == "run"
