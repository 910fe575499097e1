"""Times of a schedule: the five fields of crontab(5), its names and nicknames, checked with the user's words."""

from __future__ import annotations

from stackup.base.values import frozen

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@frozen
class Field:
    """``first`` is what the first of ``names`` stands for."""

    noun: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first: int = 0


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, _MONTHS, 1),
    Field("day of the week", 0, 7, _DAYS),
)


@frozen
class Cron:
    """The numbers of each field. ``any_day`` fields were ``*``: when both day fields are given, either may match."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool


def parse_cron(text: str) -> Cron:
    """Raises ValueError with half a sentence for what is no time."""
    words = text.strip().lower()
    if words.startswith("@"):
        if words not in NICKNAMES:
            raise ValueError(f"{text.strip()} is none of {', '.join(NICKNAMES)}")
        words = NICKNAMES[words]
    parts = words.split()
    if len(parts) != len(FIELDS):
        number = "one field" if len(parts) == 1 else f"{len(parts)} fields"
        raise ValueError(f"it has {number} instead of five: minute, hour, day of month, month, day of week")
    minutes, hours, days, months, weekdays = (_numbers(part, field) for part, field in zip(parts, FIELDS, strict=True))
    weekdays = frozenset(number % 7 for number in weekdays)
    _check_day(days, months, parts[4])
    return Cron(minutes, hours, days, months, weekdays, parts[2].startswith("*"), parts[4].startswith("*"))


def _check_day(days: frozenset[int], months: frozenset[int], weekday: str) -> None:
    longest = max(29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31 for month in months)
    if min(days) > longest and weekday.startswith("*"):
        raise ValueError(f"no such month has a day {min(days)}, so it would never run")


def _numbers(text: str, field: Field) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        every = 1
        if slash:
            if not step.isdigit() or int(step[:9]) == 0:
                raise ValueError(f"the step {step!r} of the {field.noun} is no number above 0")
            every = int(step[:9])
        if span == "*":
            low, high = field.low, field.high
        else:
            first, dash, last = span.partition("-")
            low = _number(first, field)
            high = _number(last, field) if dash else field.high if slash else low
            if high < low:
                raise ValueError(f"the {field.noun} {span!r} ends before it begins")
        found.update(range(low, high + 1, every))
    return frozenset(found)


def _number(text: str, field: Field) -> int:
    if text in field.names:
        return field.names.index(text) + field.first
    if text.isascii() and text.isdigit() and len(text) <= 3 and field.low <= int(text) <= field.high:
        return int(text)
    names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
    raise ValueError(f"the {field.noun} {text!r} is no number from {field.low} to {field.high}{names}")
