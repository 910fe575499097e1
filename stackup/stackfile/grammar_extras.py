"""The grammar of ``x-stackup``, as strict as that of Compose's own attributes."""

from __future__ import annotations

from stackup.stackfile.forms import ListOf, Pairs, Reader, Record
from stackup.stackfile.nodes import Node
from stackup.stackfile.scalars import Duration, Flag, Number, Text, Whole
from stackup.stackfile.shortforms import expand_command
from stackup.stackfile.wrappers import Probe, Short

_TEXT = Text()
_DURATION = Duration()
_PORT = Whole("a port number", 1, 65535)


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
        "tcp": Probe(Record("a tcp probe", {"port": _PORT}, required=("port",)), "port"),
        "http": Probe(
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
        "log": Probe(
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
