"""The grammar of ``x-stackup``, as strict as that of Compose's own attributes."""

from __future__ import annotations

from stackup.stackfile.forms import Form, ListOf, Pairs, Reader, Record
from stackup.stackfile.nodes import Node
from stackup.stackfile.scalars import Duration, Flag, Number, Text, Whole
from stackup.stackfile.shortforms import expand_command
from stackup.stackfile.wrappers import Short

_TEXT = Text()
_DURATION = Duration()
_PORT = Whole("a port number", 1, 65535)


class _Probe(Form):
    """``tcp: 5432`` and ``log: pattern`` are short for the field that matters most."""

    def __init__(self, record: Record, field: str) -> None:
        self.record = record
        self.field = field
        self.expected = f"a {field}, or a mapping with {', '.join(record.fields)}"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        if type(node.value) is dict:
            item = self.record.read(node, path, reader)
            if item is not None and self.field not in item.value and self.record.required:
                reader.refuse(node, path, f"{self.field} must be given")
            return item
        value = self.record.fields[self.field].read(node, path, reader)
        return None if value is None else node.with_value({self.field: value})

    def merge(self, base: Node, over: Node) -> Node:
        both = type(base.value) is type(over.value) is dict
        return self.record.merge(base, over) if both else over


class _Ready(Record):
    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        item = super().read(node, path, reader)
        kinds = [name for name in ("tcp", "http", "log", "exec") if item is not None and name in item.value]
        if item is not None and len(kinds) != 1 and type(node.value) is dict:
            said = f"it has {' and '.join(kinds)}" if kinds else "it has none"
            reader.refuse(node, path, f"exactly one of tcp, http, log, exec must be given; {said}")
        return item


_READY = _Ready(
    "a readiness rule",
    {
        "tcp": _Probe(Record("a tcp probe", {"port": _PORT}, required=("port",)), "port"),
        "http": _Probe(
            Record(
                "an http probe",
                {
                    "port": _PORT,
                    "path": _TEXT,
                    "scheme": Text(choices=("http", "https")),
                    "status": ListOf(Whole("an HTTP status", 100, 599)),
                    "headers": Pairs(),
                },
            ),
            "port",
        ),
        "log": _Probe(
            Record("a log probe", {"pattern": _TEXT, "times": Whole(low=1)}, required=("pattern",)), "pattern"
        ),
        "exec": Short(ListOf(_TEXT), expand_command, "a command line, or a list of texts", kind=list),
        "interval": _DURATION,
        "timeout": _DURATION,
        "start_period": _DURATION,
        "retries": Whole(low=1),
    },
    open=False,
)
SERVICE_EXTRAS = Record(
    "x-stackup of a service",
    {
        "ready": _READY,
        "restart_when": ListOf(Text(choices=("unhealthy",)), "unhealthy", single=True),
        "backoff": Record(
            "a backoff",
            {"initial": _DURATION, "factor": Number(), "max": _DURATION, "reset_after": _DURATION},
            open=False,
        ),
        "schedule": Record(
            "a schedule",
            {
                "cron": _TEXT,
                "every": _DURATION,
                "timezone": _TEXT,
                "overlap": Text(choices=("skip", "wait", "kill")),
            },
            open=False,
        ),
    },
    open=False,
)
STACK_EXTRAS = Record("x-stackup", {"allow": ListOf(_TEXT, single=True), "strict": Flag()}, open=False)
