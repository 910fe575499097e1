"""The grammar of ``x-stackup``, as strict as that of Compose's own attributes."""

from __future__ import annotations

import re

from stackup.stackfile.cron import parse_cron
from stackup.stackfile.forms import Record
from stackup.stackfile.listforms import ListOf, Pairs
from stackup.stackfile.nodes import Node
from stackup.stackfile.reader import Reader
from stackup.stackfile.scalars import Duration, Number, Text, Whole
from stackup.stackfile.shortforms import expand_command
from stackup.stackfile.wrappers import OneOf, Probe, Short

_TEXT = Text()
_PORT = Whole("a port number", 1, 65535)
PROBES = ("tcp", "http", "log", "file", "exec")
OVERLAPS = ("skip", "wait", "kill")
ALLOWED = ("docker.sock",)


class _Span(Duration):
    """A duration that is not negative; ``zero`` is allowed unless said otherwise."""

    def __init__(self, *, zero: bool = True) -> None:
        self.zero = zero

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        item = super().read(node, path, reader)
        if item is not None and type(item.value) is float and (item.value < 0 or (not self.zero and item.value == 0)):
            reader.wrong(node, path, f"a duration {'of at least' if self.zero else 'above'} 0s")
            return None
        return item


class Factor(Number):
    expected = "a number of at least 1"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        item = super().read(node, path, reader)
        if item is not None and type(item.value) in (int, float) and item.value < 1:
            reader.wrong(node, path, self.expected)
            return None
        return item


class _Pattern(Text):
    """A regular expression."""

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        item = super().read(node, path, reader)
        if item is None or reader.open_text(node):
            return item
        try:
            re.compile(item.value)
        except (re.error, RecursionError, OverflowError) as error:
            reader.misused(node, path, f"it is no regular expression: {error}")
            return None
        return item


class _Absolute(Text):
    """A path inside the container."""

    expected = "an absolute path"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        item = super().read(node, path, reader)
        if item is not None and not reader.open_text(node) and not item.value.startswith("/"):
            reader.wrong(node, path, "an absolute path", "it is looked for in the container, from its root")
            return None
        return item


class Cron(Text):
    def __init__(self) -> None:
        super().__init__('a time such as "*/5 * * * *" or @daily')

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        item = super().read(node, path, reader)
        if item is None or reader.open_text(node):
            return item
        try:
            parse_cron(item.value)
        except ValueError as error:
            reader.misused(node, path, str(error), 'such as "*/5 * * * *" (every five minutes) or "0 3 * * mon"')
            return None
        return item


class Zone(Text):
    def __init__(self) -> None:
        super().__init__("a time zone such as Europe/Berlin")

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        item = super().read(node, path, reader)
        if item is None or reader.open_text(node) or item.value == "UTC":
            return item
        from zoneinfo import ZoneInfo, available_timezones  # seldom needed

        try:
            ZoneInfo(item.value)
        except (KeyError, ValueError, OSError):
            reader.wrong(node, path, self.expected, reader.problems.did_you_mean(item.value, available_timezones()))
            return None
        return item


_READY = OneOf(
    "a readiness rule",
    PROBES,
    {
        "tcp": Probe(Record("a tcp probe", {"port": _PORT}, required=("port",), open=False), "port"),
        "http": Probe(
            Record(
                "an http probe",
                {
                    "port": _PORT,
                    "path": Text("a path that begins with /", pattern="^/"),
                    "scheme": Text(choices=("http", "https")),
                    "status": ListOf(Whole("an HTTP status", 100, 599), "a list of HTTP statuses"),
                    "headers": Pairs(),
                },
                open=False,
            ),
            "port",
        ),
        "log": Probe(
            Record(
                "a log probe",
                {"pattern": _Pattern(), "times": Whole("a whole number", 1)},
                required=("pattern",),
                open=False,
            ),
            "pattern",
        ),
        "file": Probe(Record("a file probe", {"path": _Absolute()}, required=("path",), open=False), "path"),
        "exec": Short(ListOf(_TEXT), expand_command, "a command line, or a list of texts", kind=list),
        "interval": _Span(zero=False),
        "timeout": _Span(zero=False),
        "start_period": _Span(),
        "retries": Whole("a whole number", 1),
    },
)
_SCHEDULE = Short(
    OneOf(
        "a schedule",
        ("cron", "every"),
        {
            "cron": Cron(),
            "every": _Span(zero=False),
            "timezone": Zone(),
            "overlap": Text(choices=OVERLAPS),
            "history": Whole("a whole number", 0),
        },
    ),
    lambda node, path, reader: (
        None if (time := Cron().read(node, path, reader)) is None else node.with_value({"cron": node.under(time.value)})
    ),
    'a time such as "*/5 * * * *", or a mapping with cron or every',
)
SERVICE_EXTRAS = Record(
    "x-stackup of a service",
    {
        "ready": _READY,
        "restart_when": ListOf(Text(choices=("unhealthy",)), "unhealthy", single=True),
        "backoff": Record(
            "a backoff",
            {"delay": _Span(), "factor": Factor(), "maximum": _Span(), "window": _Span()},
            open=False,
        ),
        "success_exit_codes": ListOf(Whole("an exit code", 0, 255), "a list of exit codes"),
        "schedule": _SCHEDULE,
    },
    open=False,
    hints={
        "allow": "it stands in x-stackup at the top of the file",
        "restart": "did you mean 'restart_when' or 'backoff'?",
        "cron": "write schedule: {cron: ...}",
        "healthcheck": "did you mean 'ready'?",
    },
)
STACK_EXTRAS = Record(
    "x-stackup",
    {"allow": ListOf(Text(choices=ALLOWED), "a list of what to allow", single=True)},
    open=False,
    hints=dict.fromkeys(SERVICE_EXTRAS.fields, "it stands in x-stackup of a service"),
)
