"""When a scheduled service runs next. Pure: the time comes in.

Local times decide, as people mean them. A time of day that a clock change leaves out counts at the moment of the
change; one that comes twice counts the first time, unless every hour is meant (systemd.time(7) and Vixie's cron agree).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from stackup.engine.supervision import RestartDecision, RestartPolicy, RestartState, Schedule, decide_restart

if TYPE_CHECKING:
    from stackup.stackfile.cron import Cron

NANOSECONDS = 1_000_000_000
YEARS = 9  # the 29th of February may be eight years away
_MINUTE = timedelta(minutes=1)


def next_due(schedule: Schedule, after_ns: int, *, anchor_ns: int = 0) -> int:
    """The first time after ``after_ns``, in ns since the epoch; 0: never again.

    ``anchor_ns``: a time at which the schedule was due, for ``every``; 0: it begins at ``after_ns``.
    """
    if schedule.every:
        step = int(schedule.every * NANOSECONDS)
        anchor = anchor_ns or after_ns
        if anchor > after_ns:  # it ran before its time
            return anchor
        return anchor + max(1, (after_ns - anchor) // step + 1) * step
    moment = next_time(_parsed(schedule.cron), datetime.fromtimestamp(after_ns // NANOSECONDS, UTC), schedule.timezone)
    return int(moment.timestamp()) * NANOSECONDS if moment else 0


def after_run(
    schedule: Schedule,
    policy: RestartPolicy,
    before: RestartState,
    *,
    exit_code: int | None,
    ran_for: float,
    due_ns: int,
    now_ns: int,
) -> RestartDecision:
    """What follows on a run that was due at ``due_ns`` and has ended now: another try, where the policy is on-failure,
    or the next time; with overlap ``wait`` that may have passed already."""
    if policy.condition == "on-failure":
        retry = decide_restart(policy, before, exit_code=exit_code, ran_for=ran_for, stopped_by_user=False)
        if retry.restart:
            return retry
    after = due_ns if schedule.overlap == "wait" and due_ns else now_ns
    due = next_due(schedule, after, anchor_ns=due_ns)
    return RestartDecision(bool(due), reason="schedule", due_ns=due)


@lru_cache(maxsize=64)
def _parsed(text: str) -> Cron:
    from stackup.stackfile.cron import parse_cron

    return parse_cron(text)


def next_time(cron: Cron, after: datetime, timezone: str) -> datetime | None:
    """The first minute after ``after`` (in UTC) that ``cron`` names in ``timezone``; in UTC."""
    zone: tzinfo = UTC if timezone == "UTC" else ZoneInfo(timezone)  # UTC needs no files on the host
    hourly = len(cron.hours) == 24
    moment = after.replace(second=0, microsecond=0) + _MINUTE
    last = moment + timedelta(days=366 * YEARS)
    while moment < last:
        local = moment.astimezone(zone)
        if not hourly and _left_out(cron, moment, local, zone):
            return moment
        if local.month not in cron.months:
            year, month = divmod(local.month, 12)
            moment = _later(moment, datetime(local.year + year, month + 1, 1, tzinfo=zone))
        elif not _is_day(cron, local):
            following = local.date() + timedelta(days=1)
            moment = _later(moment, datetime(following.year, following.month, following.day, tzinfo=zone))
        elif local.hour not in cron.hours:
            moment += timedelta(minutes=60 - local.minute)
        elif local.minute not in cron.minutes or (local.fold and not hourly):
            moment += _MINUTE
        else:
            return moment
    return None


def _later(moment: datetime, local: datetime) -> datetime:
    """The instant of ``local``, but always forwards."""
    return max(local.astimezone(UTC), moment + _MINUTE)


def _is_day(cron: Cron, local: datetime) -> bool:
    """crontab(5): with both day fields given, either is enough."""
    day, weekday = local.day in cron.days, local.isoweekday() % 7 in cron.weekdays
    return day or weekday if not (cron.any_day or cron.any_weekday) else day and weekday


def _left_out(cron: Cron, moment: datetime, local: datetime, zone: tzinfo) -> bool:
    """Whether the clock was put forward right before ``moment``, over a time that ``cron`` names."""
    before = (moment - _MINUTE).astimezone(zone)
    shift = (local.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
    if shift <= timedelta():
        return False
    skipped = (before.replace(tzinfo=None) + _MINUTE * number for number in range(1, shift // _MINUTE + 1))
    return any(
        item.minute in cron.minutes and item.hour in cron.hours and item.month in cron.months and _is_day(cron, item)
        for item in skipped
    )
