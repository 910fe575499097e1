"""When a schedule is due: month ends, leap days, and the two nights on which clocks change."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from stackup.engine.schedule import NANOSECONDS, after_run, next_due
from stackup.engine.supervision import RestartDecision, RestartPolicy, RestartState, Schedule


def times(cron: str, after: str, count: int, zone: str = "UTC") -> list[str]:
    """Local times, with their offset from UTC where it matters."""
    schedule = Schedule(cron=cron, timezone=zone)
    moment = int(datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone)).timestamp()) * NANOSECONDS
    found = []
    for _ in range(count):
        moment = next_due(schedule, moment)
        found.append(datetime.fromtimestamp(moment // NANOSECONDS, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %z"))
    return found if zone != "UTC" else [item.removesuffix(" +0000") for item in found]


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("*/5 * * * *", "2026-01-01 00:04:59", ["2026-01-01 00:05", "2026-01-01 00:10"]),
        ("*/5 * * * *", "2026-01-01 00:05:00", ["2026-01-01 00:10", "2026-01-01 00:15"]),
        ("0 3 * * mon-fri", "2026-01-02 03:00", ["2026-01-05 03:00", "2026-01-06 03:00"]),
        ("0 0 31 * *", "2026-01-31 00:00", ["2026-03-31 00:00", "2026-05-31 00:00"]),
        ("59 23 28-31 2 *", "2027-02-28 23:59", ["2028-02-28 23:59", "2028-02-29 23:59", "2029-02-28 23:59"]),
        ("0 12 29 2 *", "2096-03-01 00:00", ["2104-02-29 12:00"]),
        ("0 0 13 * fri", "2026-02-01 00:00", ["2026-02-06 00:00", "2026-02-13 00:00", "2026-02-20 00:00"]),
        ("0 0 1 1 *", "2026-12-31 23:59", ["2027-01-01 00:00"]),
        ("@monthly", "2026-12-01 00:00", ["2027-01-01 00:00", "2027-02-01 00:00"]),
        ("0 0 * * 7", "2026-11-20 00:00", ["2026-11-22 00:00"]),
        ("15,45 */6 * * *", "2026-01-01 18:45", ["2026-01-02 00:15", "2026-01-02 00:45", "2026-01-02 06:15"]),
    ],
)
def test_cron(cron: str, after: str, expected: list[str]) -> None:
    assert times(cron, after, len(expected)) == expected


def test_a_time_that_the_clock_leaves_out_counts_when_it_is_put_forward() -> None:
    assert times("30 2 * * *", "2026-03-28 12:00", 2, "Europe/Berlin") == [
        "2026-03-29 03:00 +0200",
        "2026-03-30 02:30 +0200",
    ]
    assert times("*/20 2 * * *", "2026-03-29 00:00", 2, "Europe/Berlin") == [
        "2026-03-29 03:00 +0200",
        "2026-03-30 02:00 +0200",
    ]


def test_midnight_may_be_left_out() -> None:
    assert times("0 0 * * *", "2026-03-28 12:00", 2, "Asia/Beirut") == [
        "2026-03-29 01:00 +0300",
        "2026-03-30 00:00 +0300",
    ]


def test_a_time_that_comes_twice_counts_once() -> None:
    assert times("30 2 * * *", "2026-10-24 12:00", 2, "Europe/Berlin") == [
        "2026-10-25 02:30 +0200",
        "2026-10-26 02:30 +0100",
    ]


def test_every_hour_is_every_hour_whatever_the_clock_does() -> None:
    assert times("30 * * * *", "2026-10-25 01:30", 4, "Europe/Berlin") == [
        "2026-10-25 02:30 +0200",
        "2026-10-25 02:30 +0100",
        "2026-10-25 03:30 +0100",
        "2026-10-25 04:30 +0100",
    ]
    assert times("30 * * * *", "2026-03-29 01:30", 2, "Europe/Berlin") == [
        "2026-03-29 03:30 +0200",
        "2026-03-29 04:30 +0200",
    ]


def test_a_change_of_half_an_hour() -> None:
    assert times("15 2 * * *", "2026-10-03 12:00", 2, "Australia/Lord_Howe") == [
        "2026-10-04 02:30 +1100",
        "2026-10-05 02:15 +1100",
    ]


def test_every_so_often_keeps_its_rhythm_and_leaves_out_what_has_passed() -> None:
    schedule = Schedule(every=60.0)
    assert next_due(schedule, 5 * NANOSECONDS) == 65 * NANOSECONDS
    assert next_due(schedule, 70 * NANOSECONDS, anchor_ns=65 * NANOSECONDS) == 125 * NANOSECONDS
    assert next_due(schedule, 300 * NANOSECONDS, anchor_ns=65 * NANOSECONDS) == 305 * NANOSECONDS
    assert next_due(schedule, 65 * NANOSECONDS, anchor_ns=65 * NANOSECONDS) == 125 * NANOSECONDS


def run(
    schedule: Schedule, code: int, policy: str = "no", *, ended: float = 300.0, due: float = 65.0
) -> RestartDecision:
    """A run that was due at ``due`` seconds and ended at ``ended``."""
    times = {"due_ns": int(due * NANOSECONDS), "now_ns": int(ended * NANOSECONDS)}
    return after_run(schedule, RestartPolicy(policy), RestartState(), exit_code=code, ran_for=1.0, **times)


def test_times_that_passed_while_it_ran_are_left_out_or_made_up_for_once() -> None:
    assert run(Schedule(every=60.0), 0).due_ns == 305 * NANOSECONDS
    assert run(Schedule(every=60.0, overlap="wait"), 0).due_ns == 125 * NANOSECONDS


def test_only_on_failure_brings_a_run_back_before_its_time() -> None:
    again = run(Schedule(every=60.0), 1, "on-failure")
    assert (again.restart, again.due_ns, again.delay) == (True, 0, 0.1)
    assert run(Schedule(every=60.0), 0, "on-failure").due_ns
    assert run(Schedule(every=60.0), 1, "always").due_ns


def test_a_run_before_its_time_leaves_the_schedule_as_it_is() -> None:
    due, now = 12 * 3600 * NANOSECONDS, 11 * 3600 * NANOSECONDS
    assert next_due(Schedule(every=3600.0), now, anchor_ns=due) == due
    decision = after_run(
        Schedule(every=3600.0), RestartPolicy(), RestartState(), exit_code=0, ran_for=1.0, due_ns=due, now_ns=now
    )
    assert (decision.restart, decision.due_ns) == (True, due)
