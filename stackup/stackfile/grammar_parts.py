"""The grammar of what several attributes share: build, deploy, health check, file grants, device requests."""

from __future__ import annotations

from stackup.stackfile.forms import Form, MapOf, Record
from stackup.stackfile.listforms import Key, ListOf, Pairs
from stackup.stackfile.mounts import HostPath
from stackup.stackfile.nodes import Node
from stackup.stackfile.reader import Reader
from stackup.stackfile.scalars import Duration, Flag, Number, NumberText, Scalar, Size, Text, Whole
from stackup.stackfile.shortforms import Hosts, SshKeys, UlimitForm, expand_command, expand_test
from stackup.stackfile.wrappers import Replaced, Short

TEXT = Text()
FLAG = Flag()
BOOL = Flag(texts=False)
WHOLE = Whole()
FLOORED = Whole(fraction=True)
NATURAL = Whole("a whole number", 0)
NUMBER = Number()
DURATION = Duration()
SIZE = Size()
MEMORY = Size(number=False)
LABELS = Pairs()
ENVIRONMENT = Pairs(inherit=True)
HOST_PATH = HostPath()
NAME = r"^[a-zA-Z0-9._-]+$"


def by_value(node: Node) -> str | None:
    return node.value if type(node.value) is str else None


def by_name(node: Node) -> str | None:
    """Identity of NAME=value in a list: the name."""
    return node.value.partition("=")[0] if type(node.value) is str else None


def by_target(default: str) -> Key:
    """Identity of a granted secret or config: where it appears in the container."""

    def key(node: Node) -> str | None:
        if type(node.value) is not dict:
            return None
        return node.text("target") or f"{default}/{node.text('source')}"

    return key


TEXTS = ListOf(TEXT, "a list of texts")
UNIQUE = ListOf(TEXT, "a list of texts", unique=True)
SET = ListOf(TEXT, "a list of texts", key=by_name)
TEXT_OR_LIST = ListOf(TEXT, "a text or a list of texts", key=by_name, single=True)
COMMAND = Replaced(Short(TEXTS, expand_command, "a command line, or a list of texts", kind=list), null=True)
OPTIONS = MapOf(NumberText(fraction=True), "a mapping of texts or numbers")

MODE = Whole("permission bits such as 0440", 0, 0o7777)


class FileMode(Form):
    """Permission bits: a number as it is written (0440 is octal), or a text, which is octal always."""

    expected = "permission bits such as 0440"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if reader.open_text(node):
            return node
        if type(value) is str:
            try:
                value = int(value, 8)
            except ValueError:
                value = None
        if type(value) is not int or not 0 <= value <= 0o7777:
            reader.wrong(node, path, self.expected)
            return None
        return node.with_value(value)


def _grant(node: Node, path: str, reader: Reader) -> Node | None:
    return node.with_value({"source": node.under(node.value)})


def grants(noun: str, default: str) -> ListOf:
    """A list of secrets or configs given to a service."""
    fields = {"source": TEXT, "target": TEXT, "uid": TEXT, "gid": TEXT, "mode": FileMode()}
    long = Record(f"a {noun} of a service", fields)
    item = Short(long, _grant, f"the name of a {noun}, or a mapping with its source")
    return ListOf(item, f"a list of {noun}s", key=by_target(default))


ULIMIT_NUMBER = Whole("a whole number (-1: unlimited)", -1)
ULIMITS = MapOf(UlimitForm(Record("a ulimit", {"soft": ULIMIT_NUMBER, "hard": ULIMIT_NUMBER}), ULIMIT_NUMBER))


class Count(Whole):
    """A number of devices, or ``all`` (-1)."""

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        every = type(node.value) is str and node.value.lower() == "all"
        return node.with_value(-1) if every else super().read(node, path, reader)


_REQUEST = {
    "capabilities": UNIQUE,
    "driver": TEXT,
    "count": Count("a whole number, or all"),
    "device_ids": UNIQUE,
    "options": LABELS,
}


class _Device(Record):
    """A device reservation must name a capability; Compose refuses one without while reading."""

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        item = super().read(node, path, reader)
        if item is not None and type(node.value) is dict:
            if "capabilities" not in node.value and self.required:
                reader.refuse(node, path, "capabilities must be given, such as [gpu]")
            if "count" in node.value and "device_ids" in node.value:
                reader.refuse(node.value["device_ids"], path, "count and device_ids exclude each other", at_key=True)
        return item


DEVICES = ListOf(_Device("a device reservation", _REQUEST, required=("capabilities",)), "a list of devices")


def _all_gpus(node: Node, path: str, reader: Reader) -> Node | None:
    if node.value != "all":
        reader.wrong(node, path, "all, or a list of devices")
        return None
    return node.with_value([node.with_value({"count": node.under(-1)})])


GPUS = Short(
    ListOf(_Device("a gpu request", _REQUEST), "a list of devices"), _all_gpus, "all, or a list of devices", kind=list
)


def _context(node: Node, path: str, reader: Reader) -> Node | None:
    context = HostPath(url=True).read(node.under(node.value), path, reader)
    return None if context is None else node.with_value({"context": context})


BUILD_FIELDS: dict[str, Form] = {
    "context": HostPath(url=True),
    "dockerfile": TEXT,
    "dockerfile_inline": TEXT,
    "entitlements": TEXTS,
    "args": ENVIRONMENT,
    "provenance": Scalar(numbers=False),
    "sbom": Scalar(numbers=False),
    "ssh": SshKeys(),
    "labels": LABELS,
    "cache_from": TEXTS,
    "cache_to": TEXTS,
    "no_cache": FLAG,
    "no_cache_filter": ListOf(TEXT, "a text or a list of texts", single=True),
    "additional_contexts": Pairs(values=HostPath(url=True), alone=False),
    "pull": FLAG,
    "extra_hosts": Hosts(),
    "isolation": TEXT,
    "network": TEXT,
    "target": TEXT,
    "secrets": grants("secret", "/run/secrets"),
    "shm_size": SIZE,
    "tags": ListOf(TEXT, "a list of texts", key=by_value),
    "ulimits": ULIMITS,
    "platforms": TEXTS,
    "privileged": FLAG,
}
BUILD = Short(Record("a build", BUILD_FIELDS), _context, "the path of the build context, or a mapping")

HOOK_FIELDS: dict[str, Form] = {
    "command": COMMAND,
    "user": TEXT,
    "privileged": FLAG,
    "working_dir": TEXT,
    "environment": ENVIRONMENT,
}
PRE_START_FIELDS = {**HOOK_FIELDS, "image": TEXT, "per_replica": FLAG}
WATCH_ACTIONS = ("rebuild", "sync", "restart", "sync+restart", "sync+exec")
DEVELOP = Record(
    "develop",
    {
        "watch": ListOf(
            Record(
                "a watch rule",
                {
                    "path": HostPath(real=True),
                    "action": Text(choices=WATCH_ACTIONS),
                    "target": TEXT,
                    "exec": Record("a watch command", HOOK_FIELDS),
                    "include": TEXT_OR_LIST,
                    "ignore": TEXT_OR_LIST,
                    "initial_sync": FLAG,
                },
                required=("path", "action"),
            ),
            "a list of watch rules",
        )
    },
    null=True,
)

UPDATE = {
    "parallelism": WHOLE,
    "delay": DURATION,
    "failure_action": TEXT,
    "monitor": DURATION,
    "max_failure_ratio": NUMBER,
    "order": Text(choices=("start-first", "stop-first")),
}
_DISCRETE = Record("a discrete resource", {"kind": TEXT, "value": FLOORED})
DEPLOY = Record(
    "deploy",
    {
        "mode": TEXT,
        "endpoint_mode": TEXT,
        "replicas": NATURAL,
        "labels": LABELS,
        "update_config": Record("update_config", UPDATE),
        "rollback_config": Record("rollback_config", UPDATE),
        "resources": Record(
            "resources",
            {
                "limits": Record("limits", {"cpus": NUMBER, "memory": MEMORY, "pids": WHOLE}),
                "reservations": Record(
                    "reservations",
                    {
                        "cpus": NUMBER,
                        "memory": MEMORY,
                        "generic_resources": ListOf(
                            Record("a generic resource", {"discrete_resource_spec": _DISCRETE})
                        ),
                        "devices": DEVICES,
                    },
                ),
            },
        ),
        "restart_policy": Record(
            "restart_policy", {"condition": TEXT, "delay": DURATION, "max_attempts": NATURAL, "window": DURATION}
        ),
        "placement": Record(
            "placement",
            {
                "constraints": TEXTS,
                "preferences": ListOf(Record("a preference", {"spread": TEXT})),
                "max_replicas_per_node": WHOLE,
            },
        ),
    },
    null=True,
)

HEALTHCHECK = Record(
    "a healthcheck",
    {
        "test": Replaced(Short(TEXTS, expand_test, "a command line, or a list of texts", kind=list)),
        "interval": DURATION,
        "timeout": DURATION,
        "retries": Whole("a whole number", 0, fraction=True),
        "start_period": DURATION,
        "start_interval": DURATION,
        "disable": FLAG,
    },
    hints={"cmd": "did you mean 'test'?", "command": "did you mean 'test'?"},
)
PORT_FIELDS: dict[str, Form] = {
    "target": Whole("a port number", 0, 65535),
    "published": NumberText(),
    "protocol": TEXT,
    "host_ip": TEXT,
    "mode": TEXT,
    "name": TEXT,
    "app_protocol": TEXT,
}
