"""``x-stackup``: typed and judged as strictly as the rest of the language."""

# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest
from stackfile_support import errors_of, load_text, said

from stackup.model.stack import ServiceExtras
from stackup.stackfile.cron import NICKNAMES, parse_cron


def extras(directory: Path, text: str) -> ServiceExtras:
    return (
        load_text(directory, f"services: {{web: {{image: a, x-stackup: {text}}}}}", run=False)
        .stack.services["web"]
        .stackup
    )


def mistake(directory: Path, text: str) -> str:
    (error,) = errors_of(directory, f"services: {{web: {{image: a, x-stackup: {text}}}}}", run=False)
    return said(error).partition(" ")[2].replace("services.web.x-stackup.", "")


def test_short_forms(tmp_path: Path) -> None:
    ready = extras(tmp_path, "{ready: {tcp: 5432}}").ready
    assert ready is not None
    assert ready.tcp is not None
    assert ready.tcp.port == 5432
    ready = extras(tmp_path, "{ready: {http: {path: /up, status: [200], headers: [Host=a]}, timeout: 2s}}").ready
    assert ready is not None
    assert ready.http is not None
    assert (ready.http.port, ready.http.path, ready.http.status, ready.timeout) == (80, "/up", (200,), 2.0)
    assert ready.http.headers == {"Host": "a"}
    ready = extras(tmp_path, "{ready: {exec: pg_isready -U me}}").ready
    assert ready is not None
    assert ready.exec == ("pg_isready", "-U", "me")
    ready = extras(tmp_path, "{ready: {file: /run/up}}").ready
    assert ready is not None
    assert ready.file is not None
    assert ready.file.path == "/run/up"


def test_schedules(tmp_path: Path) -> None:
    schedule = extras(tmp_path, '{schedule: "*/5 * * * *"}').schedule
    assert schedule is not None
    assert (schedule.cron, schedule.timezone, schedule.overlap, schedule.history) == ("*/5 * * * *", "UTC", "skip", 10)
    schedule = extras(tmp_path, "{schedule: {every: 15m, overlap: wait, history: 3}}").schedule
    assert schedule is not None
    assert (schedule.every, schedule.overlap, schedule.history) == (900.0, "wait", 3)
    schedule = extras(tmp_path, "{schedule: {cron: '@daily', timezone: Europe/Berlin}}").schedule
    assert schedule is not None
    assert schedule.timezone == "Europe/Berlin"


def test_backoff(tmp_path: Path) -> None:
    found = extras(tmp_path, "{backoff: {delay: 0s, factor: 1.5, maximum: 1m, window: 2s}, success_exit_codes: [143]}")
    assert found.backoff is not None
    assert (found.backoff.delay, found.backoff.factor, found.backoff.maximum, found.backoff.window) == (0, 1.5, 60, 2)
    assert found.success_exit_codes == (143,)


def test_override_files_merge(tmp_path: Path) -> None:
    (tmp_path / "compose.override.yaml").write_text(
        "services: {web: {x-stackup: {ready: {timeout: 9s}, backoff: {factor: 3}}}}"
    )
    found = extras(tmp_path, "{ready: {tcp: 1}, backoff: {delay: 5s}}")
    assert found.backoff is not None
    assert (found.backoff.delay, found.backoff.factor) == (5.0, 3.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ready: {tcp: 5432, http: 80}}", "cannot use ready: exactly one of tcp, http, log, file, exec must be given; it has tcp and http"),
        ("{ready: {timeout: 1s}}", "cannot use ready: exactly one of tcp, http, log, file, exec must be given; it has none"),
        ("{ready: tcp}", "cannot use 'tcp' for ready: expected a mapping (put a colon after it: tcp:)"),
        ("{ready: {tcp: 99999}}", "cannot use 99999 for ready.tcp: expected a port number from 1 to 65535"),
        ("{ready: {http: {path: up}}}", "cannot use 'up' for ready.http.path: expected a path that begins with /"),
        ("{ready: {http: {stauts: [200]}}}", "cannot use ready.http.stauts: an http probe has no such attribute (did you mean 'status'?)"),
        ("{ready: {log: '('}}", "cannot use '(' for ready.log: it is no regular expression: missing ), unterminated subpattern at position 0"),
        ("{ready: {file: run/up}}", "cannot use 'run/up' for ready.file: expected an absolute path (it is looked for in the container, from its root)"),
        ("{ready: {tcp: 1, interval: 0s}}", "cannot use '0s' for ready.interval: expected a duration above 0s"),
        ("{restart_when: sick}", "cannot use 'sick' for restart_when[0]: expected unhealthy"),
        ("{backoff: {factor: 0.5}}", "cannot use 0.5 for backoff.factor: expected a number of at least 1"),
        ("{backoff: {initial: 1s}}", "cannot use backoff.initial: a backoff has no such attribute"),
        ("{success_exit_codes: [256]}", "cannot use 256 for success_exit_codes[0]: expected an exit code from 0 to 255"),
        ("{schedule: {every: 1m, cron: '@daily'}}", "cannot use schedule: exactly one of cron, every must be given; it has cron and every"),
        ("{schedule: {cron: '@daily', timezone: Europe/Berlim}}", "cannot use 'Europe/Berlim' for schedule.timezone: expected a time zone such as Europe/Berlin (did you mean 'Europe/Berlin'?)"),
        ("{schedule: {every: 1m, overlap: queue}}", "cannot use 'queue' for schedule.overlap: expected skip, wait or kill"),
        ("{allow: [docker.sock]}", "cannot use allow: x-stackup of a service has no such attribute (it stands in x-stackup at the top of the file)"),
        ("{redy: {tcp: 1}}", "cannot use redy: x-stackup of a service has no such attribute (did you mean 'ready'?)"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, text: str, expected: str) -> None:
    assert mistake(tmp_path, text) == expected


def test_placement(tmp_path: Path) -> None:
    top = "x-stackup: {ready: {tcp: 1}}\nservices: {web: {image: a}}\nvolumes: {v: {x-stackup: {}}}\n"
    first, second = errors_of(tmp_path, top)
    assert first.hint == "it stands in x-stackup of a service"
    assert second.hint == "x-stackup stands at the top of a file or in a service"
    (error,) = errors_of(tmp_path, "x-stackup: {allow: [docker.sok]}\nservices: {web: {image: a}}\n")
    assert error.hint == "did you mean 'docker.sock'?"


def test_cron() -> None:
    cron = parse_cron("*/20 9-17 1,15 jan-mar mon-fri")
    assert cron.minutes == {0, 20, 40}
    assert cron.hours == set(range(9, 18))
    assert cron.days == {1, 15}
    assert cron.months == {1, 2, 3}
    assert cron.weekdays == {1, 2, 3, 4, 5}
    assert not cron.any_day
    assert parse_cron("5/30 * * * 7").weekdays == {0}
    assert parse_cron("5/30 * * * *").minutes == {5, 35}
    assert all(parse_cron(name) for name in NICKNAMES)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("* * * *", "it has 4 fields instead of five: minute, hour, day of month, month, day of week"),
        ("hello", "it has one field instead of five: minute, hour, day of month, month, day of week"),
        ("60 * * * *", "the minute '60' is no number from 0 to 59"),
        ("* * * foo *", "the month 'foo' is no number from 1 to 12 or jan to dec"),
        ("*/0 * * * *", "the step '0' of the minute is no number above 0"),
        ("9-5 * * * *", "the minute '9-5' ends before it begins"),
        ("0 0 31 feb *", "no such month has a day 31, so it would never run"),
        ("@sometimes", "@sometimes is none of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually"),
        ("* * * * ,", "the day of the week '' is no number from 0 to 7 or sun to sat"),
    ],
)
def test_cron_mistakes(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_cron(text)
    assert str(caught.value) == reason
