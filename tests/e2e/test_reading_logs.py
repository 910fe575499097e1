"""logs: what was printed, all of it and in order, whoever reads it how slowly, on whatever disk."""

from __future__ import annotations

import itertools
import re
import signal

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


def test_what_to_show_can_be_chosen(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            scale: 2
            command: ["sh", "-c", "for i in 1 2 3 4 5; do echo $$HOSTNAME odd; echo even >&2; done; exec sleep 1000"]
            stop_signal: SIGKILL
          db: {image: busybox, command: ["sh", "-c", "echo ready; exec sleep 1000"], stop_signal: SIGKILL}
        """)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: scenario.stackup("logs").ok().err.count("even") == 10, "all has been said")
    eventually(lambda: "ready" in scenario.logs("db"), "all has been said")
    every = scenario.stackup("logs", "web").ok()
    assert every.out.count("odd") == every.err.count("even") == 10
    second = scenario.stackup("logs", "--index", "2", "web").ok()
    assert second.out.count("web-2 ") == 5 and "web-1 " not in second.out
    scenario.stackup("logs", "--index", "3", "web").refused("container 3", "there are: 1, 2")
    assert scenario.stackup("logs", "--grep", "^re.dy$").ok().out.split() == ["db-1", "|", "ready"]
    last = scenario.stackup("logs", "--grep", "even", "-n", "2", "--no-log-prefix", "web").ok()
    assert (last.out, last.err) == ("", "even\n" * 4)
    scenario.stackup("logs", "--grep", "(").refused("no regular expression")
    tails = scenario.stackup("logs", "-n", "3").ok()
    assert (tails.out + tails.err).count("web-1 ") == (tails.out + tails.err).count("web-2 ") == 3
    scenario.stackup("stop").ok()
    follow = scenario.stackup("logs", "-f", "-n", "3").ok()
    assert sorted((follow.out + follow.err).splitlines()) == sorted((tails.out + tails.err).splitlines())
    scenario.stackup("logs", "--files", "out").ok()
    assert (scenario.directory / "out/db.log").read_text() == "db-1   | ready\n"
    assert len((scenario.directory / "out/web.log").read_text().splitlines()) == 20


def test_since_and_until(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: ["sh", "-c", "for i in $$(seq 40); do echo $$i; usleep 10000; done; exec sleep 1000"]
            stop_signal: SIGKILL
        """)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: scenario.logs().endswith("40\n"), "all has been said")
    stamped = [line.split() for line in scenario.logs("-t").splitlines()]
    since, until = stamped[9][0], stamped[19][0]
    for options in ((), ("-f",)):
        assert scenario.logs("--since", since, "--until", until, *options).split() == [str(n) for n in range(10, 21)]
    assert scenario.logs("--since", since, "-n", "3").split() == ["38", "39", "40"]
    assert scenario.logs("--until", until, "-n", "3").split() == ["18", "19", "20"]
    assert scenario.logs("--since", "1h") == scenario.logs()
    scenario.stackup("stop").ok()
    assert scenario.logs("--since", since, "--until", until).split() == [str(n) for n in range(10, 21)]


def test_nothing_is_lost_or_torn(scenario: Scenario) -> None:
    """1 MB lines, every byte there is, no newline at the end, two processes one after the other."""
    scenario.file(
        "speak.sh",
        r"""
        i=0
        while [ $i -lt 5 ]; do head -c 1000000 /dev/zero | tr '\0' $i; echo; i=$((i+1)); done
        printf '\000\001\377\376\033[0m\n'
        printf unfinished
        """,
    )
    scenario.compose("""
        services:
          web: {image: busybox, command: sh /speak.sh, volumes: ["./speak.sh:/speak.sh:ro"]}
        """)
    wanted = [str(digit) * 1_000_000 for digit in range(5)] + ["\0\1\udcff\udcfe\033[0m", "unfinished"]
    scenario.stackup("up", "-d").ok()
    scenario.has_state("web", "exited")
    assert scenario.logs().split("\n") == [*wanted, ""]
    scenario.stackup("start").ok()
    scenario.has_state("web", "exited")
    assert scenario.logs().split("\n") == [*wanted, *wanted, ""]


def test_lines_10_ms_apart_never_swap(scenario: Scenario) -> None:
    """Of two containers and both streams: they are numbered by what all of them see, the clock of the machine."""
    scenario.compose("""
        x-speaker: &speaker
          image: busybox
          command: ["sh", "-c", "for i in $$(seq 25); do cut -d' ' -f1 /proc/uptime; usleep 20000;
                     cut -d' ' -f1 /proc/uptime >&2; usleep 20000; done"]
        services: {one: *speaker, two: *speaker}
        """)
    scenario.stackup("up", "-d").ok()
    for service in ("one", "two"):
        scenario.has_state(service, "exited")
    stamped = scenario.stackup("logs", "-t", "--no-log-prefix").ok()
    lines = sorted(line.split() for line in (stamped.out + stamped.err).splitlines())
    assert len(lines) == 100
    uptimes = [float(uptime) for _, uptime in lines]
    swapped = [pair for pair in itertools.pairwise(uptimes) if pair[0] - pair[1] > 0.0101]
    assert not swapped


def test_a_reader_that_stands_still_holds_up_nobody(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: ["sh", "-c", "while [ ! -e /go/now ]; do usleep 20000; done; seq 300000; echo done"]
            volumes: ["./go:/go"]
          other: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
        """)
    scenario.file("go/.keep", "")
    attached = scenario.start("up")
    scenario.has_state("web", "running")
    follow = scenario.start("logs", "-f")
    scenario.run_in("other", "true")
    for reader in (attached, follow):
        reader.send(signal.SIGSTOP)
    (scenario.directory / "go/now").write_text("go")
    scenario.has_state("web", "exited", 30)
    assert scenario.run_in("other", "echo well") == "well"
    assert scenario.logs("-n", "2", "web").split() == ["300000", "done"]
    for reader in (attached, follow):
        reader.send(signal.SIGCONT)
        reader.shows(r"\| done$", 60)
        found = re.findall(r"^web-1 +\| (\d+)$", reader.text, re.MULTILINE)
        assert found == [str(number) for number in range(1, 300_001)]
