"""logs and exec: what a service says, and going inside."""

from __future__ import annotations

import re

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

TALKER = """
    services:
      web:
        image: busybox
        command: ["sh", "-c", "echo one; usleep 50000; echo two >&2; usleep 50000; echo three; exec sleep 1000"]
        stop_signal: SIGKILL
      store: {image: busybox, command: ["sh", "-c", "echo from the store; exec sleep 1000"], stop_signal: SIGKILL}
    """


@pytest.fixture
def talker(scenario: Scenario) -> Scenario:
    scenario.compose(TALKER)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: "three" in scenario.logs() and "store" in scenario.logs(), "all has been said")
    return scenario


def test_logs_have_a_prefix_unless_told_otherwise(talker: Scenario) -> None:
    out = talker.stackup("logs").ok().out
    assert re.search(r"^web-1 +\| one$", out, re.MULTILINE)
    assert re.search(r"^store-1 +\| from the store$", out, re.MULTILINE)
    assert talker.logs("web").splitlines() == ["one", "three"]


@pytest.mark.parametrize("options", [(), ("-f",)])
def test_prefixes_are_one_column_from_the_first_line_on(talker: Scenario, options: tuple[str, ...]) -> None:
    talker.stackup("kill", "web").ok()
    with talker.start("logs", *options, "store", "web") as logs:
        logs.shows("from the store")
        logs.shows("three")
        assert {line.index(" | ") for line in logs.text.splitlines() if " | " in line} == {len("store-1 ")}


def test_stderr_goes_to_stderr(talker: Scenario) -> None:
    done = talker.stackup("logs", "--no-log-prefix", "web").ok()
    assert done.err.splitlines() == ["two"]


def test_tail_and_timestamps(talker: Scenario) -> None:
    assert talker.logs("-n", "1", "web").splitlines() == ["three"]
    first = talker.logs("-t", "web").splitlines()[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z one", first)


def test_follow_goes_on_with_what_comes(talker: Scenario) -> None:
    follow = talker.start("logs", "-f", "web")
    follow.shows("three")
    talker.run_in("web", "echo four > /proc/1/fd/1")
    follow.shows(r"web-1 +\| four")


def test_output_outlives_a_restart_and_the_containers_end(talker: Scenario) -> None:
    talker.stackup("restart", "store").ok()
    eventually(lambda: talker.logs("store").count("from the store") == 2, "said twice")
    talker.stackup("stop").ok()
    assert "one" in talker.logs("web")


def test_last_words_are_not_lost(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, command: ['sh', '-c', 'seq 20000; printf unfinished']}}")
    scenario.stackup("up", "-d").ok()
    scenario.has_state("web", "exited")
    lines = scenario.logs().splitlines()
    assert lines == [str(number) for number in range(1, 20001)] + ["unfinished"]


def test_dev_stdout_can_be_reopened_by_another_user(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, user: alice, command: ["sh", "-c", "echo again > /dev/stdout; exec sleep 1000"]}
        """)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: "again" in scenario.logs(), "the line")


def test_a_service_on_a_terminal_is_heard_while_it_runs(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, tty: true, command: ["sh", "-c", "tty; exec sleep 1000"], stop_signal: SIGKILL}
        """)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: "/dev/pts/0" in scenario.logs(), "the first line")
    scenario.run_in("web", "echo later > /proc/1/fd/1")
    eventually(lambda: "later" in scenario.logs(), "the second")
    scenario.kill_daemon("supervisor")
    scenario.run_in("web", "echo again > /proc/1/fd/1")
    eventually(lambda: scenario.logs().split() == ["/dev/pts/0", "later", "again"], "what comes after a recovery")


# ------------------------------------------------------------------------------------------------------------ exec


def test_exec_runs_inside_and_gives_the_exit_code(talker: Scenario) -> None:
    assert talker.exec("web", "hostname").ok().out.strip() == talker.container_id("web")[:12]
    assert talker.exec("web", "sh", "-c", "echo to stderr >&2; exit 42").code == 42
    assert talker.exec("web", "sh", "-c", "kill -9 $$").code == 137
    assert talker.stackup("exec", "-T", "-u", "alice", "-w", "/tmp", "web", "sh", "-c", "id -un; pwd").ok().out == (
        "alice\n/tmp\n"
    )
    assert talker.stackup("exec", "-T", "-e", "A=b c", "web", "sh", "-c", "echo $A").ok().out == "b c\n"


def test_exec_passes_standard_input_on(talker: Scenario) -> None:
    done = talker.stackup("exec", "-T", "web", "sh", "-c", "cat; echo end", stdin="some\ninput\n").ok()
    assert done.out == "some\ninput\nend\n"


def test_exec_on_a_terminal_is_a_terminal(talker: Scenario) -> None:
    shell = talker.start("exec", "web", "sh", terminal=True)
    shell.shows("/ # ")
    shell.type("tty; stty size; echo w-$((40+2))\n")
    shell.shows(r"/dev/(pts/\d+|console)")
    shell.shows("w-42")
    shell.type("sleep 4321\n")
    eventually(lambda: "sleep 4321" in talker.run_in("web", "ps"), "the shell has started it")
    shell.type("\x03")
    shell.type("exit 3\n")
    assert shell.ends() == 3


def test_exec_of_what_is_not_there(talker: Scenario) -> None:
    talker.exec("web", "no-such-thing").refused("no-such-thing", "PATH")
    talker.exec("wbe", "sh").refused("cannot exec in service wbe: it is not running", "did you mean web")
    talker.stackup("exec", "-T", "--index", "7", "web", "sh").refused("no container 7", "it has: 1")
    for verb in ("logs", "ps", "stop", "restart", "kill"):
        talker.stackup(verb, "wbe").refused("service wbe: there is no such service", "did you mean web")
    talker.stackup("stop", "web").ok()
    talker.exec("web", "sh").refused("web", "not running")
