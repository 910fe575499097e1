"""The grammar of a service: every attribute of the Compose Specification and the form of its value."""

from __future__ import annotations

from stackup.stackfile.forms import Form, MapOf, Record, replacing
from stackup.stackfile.grammar_extras import SERVICE_EXTRAS
from stackup.stackfile.grammar_parts import (
    BOOL,
    BUILD,
    COMMAND,
    DEPLOY,
    DEVELOP,
    DURATION,
    ENVIRONMENT,
    FLAG,
    FLOORED,
    GPUS,
    HEALTHCHECK,
    HOOK_FIELDS,
    HOST_PATH,
    LABELS,
    NAME,
    NATURAL,
    NUMBER,
    OPTIONS,
    PORT_FIELDS,
    PRE_START_FIELDS,
    SET,
    SIZE,
    TEXT,
    TEXT_OR_LIST,
    ULIMITS,
    UNIQUE,
    WHOLE,
    by_name,
    by_value,
    grants,
)
from stackup.stackfile.listforms import ListOf, Pairs
from stackup.stackfile.mounts import HostPath, expand_volume, finish_volume
from stackup.stackfile.nodes import Node
from stackup.stackfile.ports import PortList
from stackup.stackfile.reader import Reader
from stackup.stackfile.scalars import Microseconds, NumberText, Scalar, Size, Text, Whole
from stackup.stackfile.shortforms import Hosts, Names, expand_device
from stackup.stackfile.wrappers import Short, Typed

CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")
MOUNT_TYPES = ("bind", "volume", "tmpfs", "image", "cluster", "npipe")

_DEPENDENCY = Record(
    "a dependency",
    {"condition": Text(choices=CONDITIONS), "restart": FLAG, "required": BOOL},
    required=("condition",),
)
_ENDPOINT = Record(
    "a network of a service",
    {
        "aliases": SET,
        "interface_name": TEXT,
        "ipv4_address": TEXT,
        "ipv6_address": TEXT,
        "link_local_ips": SET,
        "mac_address": TEXT,
        "driver_opts": OPTIONS,
        "priority": FLOORED,
        "gw_priority": FLOORED,
    },
    null=True,
)


class _Mount(Record):
    """The long form of a volume. ``type`` is needed at once: it decides what the rest means."""

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        if type(node.value) is dict and "type" not in node.value:
            reader.refuse(node, path, f"its type must be given: one of {', '.join(MOUNT_TYPES)}")
            return None
        item = super().read(node, path, reader)
        if item is None or "type" not in item.value:
            return None
        if not item.text("target"):
            target = item.get("target")
            reader.refuse(node if target is None else target, path, "its target, the path in the container, is missing")
            return None
        return finish_volume(item, path, reader)


_MOUNT = _Mount(
    "a volume of a service",
    {
        "type": Text(choices=MOUNT_TYPES),
        "source": TEXT,
        "target": TEXT,
        "read_only": FLAG,
        "consistency": TEXT,
        "bind": Record(
            "bind",
            {
                "propagation": TEXT,
                "create_host_path": FLAG,
                "recursive": Text(choices=("enabled", "disabled", "writable", "readonly")),
                "selinux": Text(choices=("z", "Z")),
            },
        ),
        "volume": Record("volume", {"labels": LABELS, "nocopy": FLAG, "subpath": TEXT}),
        "tmpfs": Record(
            "tmpfs", {"size": Size(fraction=False, low=0), "mode": Whole("permission bits such as 0755", 0, 0o7777)}
        ),
        "image": Record("image", {"subpath": TEXT}),
    },
)


def _mount_key(node: Node) -> str | None:
    return node.text("target") or None


def _env_file(node: Node, path: str, reader: Reader) -> Node | None:
    file = HOST_PATH.read(node.under(node.value), path, reader)
    return None if file is None else node.with_value({"path": file})


class _EnvFiles(ListOf):
    """One path, or a list of paths and {path, required, format}."""

    def __init__(self) -> None:
        fields: dict[str, Form] = {"path": HOST_PATH, "required": FLAG, "format": Text(choices=("raw",))}
        long = Record("an env file", fields, required=("path",), open=False)
        item = Short(long, _env_file, "a path, or a mapping with path, required and format")
        super().__init__(item, "a path, or a list of paths", key=_mount_path, single=True)


def _mount_path(node: Node) -> str | None:
    return node.text("path") or None


_EXTENDS = Short(
    Record("extends", {"service": TEXT, "file": TEXT}, required=("service",), open=False),
    lambda node, path, reader: node.with_value({"service": node.under(node.value)}),
    "the name of a service, or a mapping with service and file",
)
_PROVIDER_VALUE = ListOf(Scalar(), "a text, a number, true, false, or a list of these", single=True)


class ProviderValue(Form):
    """One scalar or a list of scalars. Canonical: the list of texts."""

    expected = _PROVIDER_VALUE.expected

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        if type(node.value) is list:
            return _PROVIDER_VALUE.read(node, path, reader)
        item = Scalar().read(node, path, reader)
        return None if item is None else node.with_value([item])


_BLKIO_RATE = ListOf(Record("a device limit", {"path": TEXT, "rate": SIZE}, open=False))
_BLKIO = Record(
    "blkio_config",
    {
        "weight": WHOLE,
        "weight_device": ListOf(Record("a device weight", {"path": TEXT, "weight": WHOLE}, open=False)),
        "device_read_bps": _BLKIO_RATE,
        "device_read_iops": _BLKIO_RATE,
        "device_write_bps": _BLKIO_RATE,
        "device_write_iops": _BLKIO_RATE,
    },
    open=False,
)
_DEVICE = Short(
    Record("a device", {"source": TEXT, "target": TEXT, "permissions": TEXT}, required=("source",)),
    expand_device,
    "a device such as /dev/ttyUSB0, or a mapping with source, target and permissions",
)
_MODEL = Record("a model of a service", {"endpoint_var": TEXT, "model_var": TEXT}, null=True)
PULL_POLICY = (
    "always, never, missing, if_not_present, build, refresh, daily, weekly or every_<duration>, as in every_12h"
)


class _Logging(Record):
    """Options are merged only where both files use the same driver, or one names none."""

    def merge(self, base: Node, over: Node) -> Node:
        first, second = base.text("driver"), over.text("driver")
        return super().merge(base, over) if first == second or not first or not second else replacing(base, over)


SERVICE_FIELDS: dict[str, Form] = {
    "annotations": LABELS,
    "attach": FLAG,
    "blkio_config": _BLKIO,
    "build": BUILD,
    "cap_add": SET,
    "cap_drop": SET,
    "cgroup": Text(choices=("host", "private")),
    "cgroup_parent": TEXT,
    "command": COMMAND,
    "configs": grants("config", ""),
    "container_name": Text("two or more letters, digits, '_', '.' or '-'", pattern=r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"),
    "cpu_count": NATURAL,
    "cpu_percent": NUMBER,
    "cpu_period": FLOORED,
    "cpu_quota": FLOORED,
    "cpu_rt_period": Microseconds(),
    "cpu_rt_runtime": Microseconds(),
    "cpu_shares": FLOORED,
    "cpus": NUMBER,
    "cpuset": TEXT,
    "credential_spec": Record("credential_spec", {"config": TEXT, "file": TEXT, "registry": TEXT}),
    "depends_on": Names(MapOf(_DEPENDENCY, names=NAME), {"condition": "service_started", "required": True}, "service"),
    "deploy": DEPLOY,
    "develop": DEVELOP,
    "device_cgroup_rules": UNIQUE,
    "devices": ListOf(_DEVICE, "a list of devices", key=_mount_key),
    "dns": ListOf(TEXT, "an address or a list of addresses", key=by_value, single=True, drop_empty=True),
    "dns_opt": SET,
    "dns_search": TEXT_OR_LIST,
    "domainname": TEXT,
    "entrypoint": COMMAND,
    "env_file": _EnvFiles(),
    "environment": ENVIRONMENT,
    "expose": ListOf(NumberText(), "a list of ports", key=by_value),
    "extends": _EXTENDS,
    "external_links": UNIQUE,
    "extra_hosts": Hosts(),
    "gpus": GPUS,
    "group_add": ListOf(NumberText(), "a list of groups", unique=True),
    "healthcheck": HEALTHCHECK,
    "hostname": TEXT,
    "image": TEXT,
    "init": FLAG,
    "ipc": TEXT,
    "isolation": TEXT,
    "label_file": ListOf(HOST_PATH, "a path or a list of paths", single=True),
    "labels": LABELS,
    "links": SET,
    "logging": _Logging(
        "logging",
        {"driver": TEXT, "options": MapOf(NumberText(fraction=True), "a mapping of texts or numbers", null=True)},
    ),
    "mac_address": TEXT,
    "mem_limit": SIZE,
    "mem_reservation": SIZE,
    "mem_swappiness": WHOLE,
    "memswap_limit": Size(unlimited=True),
    "models": Names(MapOf(_MODEL, names=NAME, null=True), None, "model"),
    "network_mode": TEXT,
    "networks": Names(MapOf(_ENDPOINT, names=NAME, null=True), None, "network"),
    "oom_kill_disable": FLAG,
    "oom_score_adj": Whole("a whole number", -1000, 1000),
    "pid": Text(null=True),
    "pids_limit": FLOORED,
    "platform": TEXT,
    "ports": PortList(Record("a port", PORT_FIELDS)),
    "post_start": ListOf(Record("a hook", HOOK_FIELDS, required=("command",)), "a list of commands"),
    "pre_start": ListOf(Record("a hook", PRE_START_FIELDS), "a list of commands"),
    "pre_stop": ListOf(Record("a hook", HOOK_FIELDS, required=("command",)), "a list of commands"),
    "privileged": FLAG,
    "profiles": SET,
    "provider": Record(
        "a provider",
        {"type": TEXT, "options": MapOf(ProviderValue(), "a mapping of options")},
        required=("type",),
    ),
    "pull_policy": Text(
        PULL_POLICY, pattern=r"always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+"
    ),
    "pull_refresh_after": TEXT,
    "read_only": FLAG,
    "restart": TEXT,
    "runtime": TEXT,
    "scale": NATURAL,
    "secrets": grants("secret", "/run/secrets"),
    "security_opt": UNIQUE,
    "shm_size": SIZE,
    "stdin_open": FLAG,
    "stop_grace_period": DURATION,
    "stop_signal": TEXT,
    "storage_opt": MapOf(NumberText(), "a mapping"),
    "sysctls": LABELS,
    "tmpfs": TEXT_OR_LIST,
    "tty": FLAG,
    "ulimits": ULIMITS,
    "use_api_socket": BOOL,
    "user": TEXT,
    "userns_mode": TEXT,
    "uts": TEXT,
    "volumes": ListOf(
        Short(_MOUNT, expand_volume, "a text SOURCE:TARGET[:OPTIONS], or a mapping with type, source and target"),
        "a list of volumes",
        key=_mount_key,
    ),
    "volumes_from": UNIQUE,
    "working_dir": TEXT,
    "x-stackup": Typed(SERVICE_EXTRAS),
}
_HINTS = {
    "environnement": "did you mean 'environment'?",
    "env": "did you mean 'environment'?",
    "port": "did you mean 'ports'?",
    "cmd": "did you mean 'command'?",
    "dockerfile": "write it under build: {context: ., dockerfile: ...}",
    "log_driver": "write it under logging: {driver: ...}",
    "log_opt": "write it under logging: {options: ...}",
    "replicas": "write it under deploy: {replicas: ...}, or use scale",
    "resources": "write it under deploy: {resources: ...}",
    "net": "did you mean 'network_mode'?",
    "volume_driver": "write it at the top level: volumes: {NAME: {driver: ...}}",
}
SERVICE = Record("a service", SERVICE_FIELDS, hints=_HINTS)
__all__ = ["CONDITIONS", "MOUNT_TYPES", "SERVICE", "SERVICE_FIELDS", "HostPath", "Pairs", "by_name"]
