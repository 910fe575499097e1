"""logging: rotation, syslog, the journal, none."""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackup.engine.sinks import JOURNAL
from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


@pytest.fixture
def syslog(short_directory: Path) -> Iterator[socket.socket]:
    path = short_directory / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(20)
        yield sock
    path.unlink()


def test_rotation_keeps_what_it_is_told_to_while_a_follower_reads_it_all(scenario: Scenario) -> None:
    """The supervisor is killed in the middle of it, twice."""
    scenario.compose("""
        services:
          web:
            image: busybox
            command: ["sh", "-c", "for i in $$(seq 300); do seq 1 100; usleep 10000; done; echo end; exec sleep 1000"]
            stop_signal: SIGKILL
            logging: {driver: local, options: {max-size: 10k, max-file: "4"}}
        """)
    scenario.stackup("up", "-d").ok()
    scenario.start("logs", "-f", "--no-log-prefix").shows("100")
    for _ in range(2):
        scenario.kill_daemon("supervisor")
        eventually(lambda: scenario.daemon("supervisor"), "a new supervisor")
    follow = scenario.start("logs", "-f", "-n", "0", "--no-log-prefix", "--grep", "end")
    follow.shows("^end$", 60)
    files = list(scenario.root.glob(f"lib/projects/{scenario.project}/containers/*/stdout*.log"))
    assert len(files) == 4
    assert all(path.stat().st_size <= 10_000 for path in files)
    lines = scenario.logs().splitlines()
    assert lines.pop() == "end"
    counting = [int(line) for line in lines]
    assert len(counting) > 9_000
    assert all(after == before % 100 + 1 for before, after in itertools.pairwise(counting))
    assert scenario.logs("-n", "3").split() == ["99", "100", "end"]
    assert 0 < len(scenario.logs("--since", "1m").splitlines()) <= len(lines) + 1


def test_lines_go_to_syslog_and_logs_shows_them_all_the_same(scenario: Scenario, syslog: socket.socket) -> None:
    scenario.compose(f"""
        services:
          web:
            image: busybox
            command: ["sh", "-c", "echo hello; echo trouble >&2; exec sleep 1000"]
            stop_signal: SIGKILL
            logging:
              driver: syslog
              options:
                syslog-address: unixgram://{syslog.getsockname()}
                syslog-facility: local0
                syslog-format: rfc5424
                tag: "shop/{{{{.Name}}}}"
        """)
    scenario.stackup("up", "-d").ok()
    messages = sorted(syslog.recv(65536).decode() for _ in range(2))
    assert re.fullmatch(rf"<131>1 \S+Z \S+ shop/{scenario.project}-web-1 \d+ \S+ - trouble", messages[0])
    assert re.fullmatch(r"<134>1 .* - hello", messages[1])
    assert scenario.logs().split() == ["hello"]
    scenario.kill_daemon("supervisor")
    scenario.run_in("web", "echo again > /proc/1/fd/1")
    assert syslog.recv(65536).decode().endswith("- again")


def test_a_receiver_that_is_away_is_said_and_holds_up_nobody(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: ["sh", "-c", "seq 20000; exec sleep 1000"]
            stop_signal: SIGKILL
            logging: {driver: syslog, options: {syslog-address: "tcp://127.0.0.1:1"}}
        """)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: scenario.logs("-n", "1").split() == ["20000"], "all has been said")
    eventually(lambda: "tcp://127.0.0.1:1: Connection refused" in scenario.row("web")["Notice"], "ps says so")


def test_none_keeps_nothing(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: ["sh", "-c", "seq 100000; echo over > /shared/over; exec sleep 1000"]
            stop_signal: SIGKILL
            volumes: ["./shared:/shared"]
            logging: {driver: none}
        """)
    (scenario.directory / "shared").mkdir()
    scenario.stackup("up", "-d").ok()
    eventually(lambda: (scenario.directory / "shared/over").exists(), "all has been said")
    assert scenario.logs() == ""


@pytest.mark.skipif(Path(JOURNAL).exists(), reason="this machine has a journal")
def test_without_a_journal_output_stays_here(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web: {image: busybox, command: echo hello, logging: {driver: journald, options: {tag: web}}}
        """)
    assert "there is no journal here" in scenario.stackup("up", "-d").ok().err
    eventually(lambda: scenario.logs() == "hello\n", "it is kept")


def test_what_is_wrong_is_refused_with_its_line(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          one: {image: busybox, logging: {driver: gelf}}
          two:
            image: busybox
            logging:
              options:
                max-size: huge
        """)
    done = scenario.stackup("up", "-d").refused(
        r"compose.yaml:2:\d+", "there is no log driver 'gelf' here", "one of json-file, local",
        r"compose.yaml:7:\d+", "cannot use log option max-size of service two", "a size such as 10m",
    )  # fmt: skip
    assert scenario.ps("-a") == [], str(done)
