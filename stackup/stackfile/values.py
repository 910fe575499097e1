"""Which value of a service has which rule; and what values of one service must not be beside one another.

``config`` shows what is found here as warnings, as docker compose's does not look at it; ``plan`` and ``up`` refuse it,
all of it at once and before anything happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stackup.stackfile import rules
from stackup.stackfile.nodes import Node
from stackup.stackfile.patterns import Branch, matches
from stackup.stackfile.problems import Problems, did_you_mean
from stackup.stackfile.reader import show
from stackup.stackfile.rules import NETWORK_MODES, Rule, Wrong, one_of

_OTHERS = ("service:", "container:")
_PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_TABLE: dict[str, Rule] = {
    "blkio_config.weight": rules.between(10, 1000),
    "cap_add.*": rules.known_capability,
    "cap_drop.*": rules.known_capability,
    "container_name": rules.container_name,
    "cpus": rules.processors,
    "cpuset": rules.cpuset,
    "deploy.resources.limits.cpus": rules.processors,
    "deploy.resources.limits.memory": rules.memory,
    "device_cgroup_rules.*": rules.cgroup_device_rule,
    "devices.*.permissions": rules.device_access,
    "dns.*": rules.address,
    "dns_opt.*": rules.one_word,
    "domainname": rules.hostname,
    "expose.*": rules.exposed,
    "extra_hosts.*.*": rules.mapped_address,
    "hostname": rules.hostname,
    "ipc": one_of(("none", "private", "shareable", "host"), "mode", prefixes=_OTHERS),
    "mac_address": rules.mac_address,
    "mem_limit": rules.memory,
    "mem_swappiness": rules.between(0, 100),
    "network_mode": one_of(NETWORK_MODES, "mode", prefixes=_OTHERS),
    "networks.*.ipv4_address": rules.address4,
    "networks.*.ipv6_address": rules.address6,
    "networks.*.mac_address": rules.mac_address,
    "pid": one_of(("host",), "mode", prefixes=_OTHERS),
    "pids_limit": rules.pids,
    "platform": rules.platform,
    "ports.*.mode": one_of(("ingress", "host"), "mode"),
    "ports.*.protocol": one_of(("tcp", "udp", "sctp"), "protocol"),
    "ports.*.published": rules.port_range,
    "ports.*.target": rules.port_number,
    "restart": rules.restart,
    "security_opt.*": rules.known_security_option,
    "stop_signal": rules.stop_signal,
    "tmpfs.*": rules.tmpfs,
    "user": rules.user,
    "uts": one_of(("host",), "mode"),
    "volumes.*.bind.propagation": one_of(_PROPAGATIONS, "propagation"),
    "working_dir": rules.absolute,
}
_BY_ATTRIBUTE: dict[str, list[tuple[list[str], Rule]]] = {}
for _path, _rule in _TABLE.items():
    _attribute, *_below = _path.split(".")
    _BY_ATTRIBUTE.setdefault(_attribute, []).append((_below, _rule))
_AT_ONCE: dict[str, Branch[Rule]] = {}
for _attribute, _rules in _BY_ATTRIBUTE.items():
    _AT_ONCE[_attribute] = Branch()
    for _below, _rule in _rules:
        _AT_ONCE[_attribute].add(_below, _rule)


def check_values(services: Mapping[str, Node], problems: Problems) -> None:
    """Everything that single values of the services cannot be."""
    for name, service in services.items():
        path = f"services.{name}"
        for attribute, node in service.value.items():
            branch = _AT_ONCE.get(attribute)
            if branch is not None and branch.meets(node, _breaks):
                for below, rule in _BY_ATTRIBUTE[attribute]:
                    for rest, found in matches(node, below):
                        _judge(found, f"{path}.{attribute}{rest}", rule, problems)
            if attribute in _TOGETHER:
                _TOGETHER[attribute](path, service, problems)


def _breaks(value: Any, rule: Rule) -> bool:
    if value is None or value == "":
        return False
    try:
        rule(value)
    except Wrong:
        return True
    return False


def _judge(node: Node, path: str, rule: Rule, problems: Problems) -> None:
    if node.value is None or node.value == "":
        return
    try:
        rule(node.value)
    except Wrong as wrong:
        shown = show(node) if type(node.value) is str else repr(node.value)
        problems.add(node, f"cannot use {shown} for {path}: {wrong.reason}", hint=wrong.hint)


def _sysctls(path: str, service: Node, problems: Problems) -> None:
    settings = service.get("sysctls")
    mode = service.text("network_mode")
    shares = mode == "host" or mode.startswith(_OTHERS)
    for name, node in settings.value.items() if settings is not None and type(settings.value) is dict else ():
        try:
            rules.sysctl(name, shares)
        except Wrong as wrong:
            problems.add(node, f"cannot use {path}.sysctls.{name}: {wrong.reason}", hint=wrong.hint)


def _ulimits(path: str, service: Node, problems: Problems) -> None:
    limits = service.get("ulimits")
    for name, node in limits.value.items() if limits is not None and type(limits.value) is dict else ():
        if name not in rules.RLIMITS:
            hint = did_you_mean(name, sorted(rules.RLIMITS))
            problems.add(node, f"cannot use {path}.ulimits.{name}: there is no such limit", hint=hint, at_key=True)
            continue
        soft, hard = (_number(node.get(part)) for part in ("soft", "hard"))
        if soft is not None and hard is not None and _size(soft) > _size(hard):
            problems.add(node, f"cannot use {path}.ulimits.{name}: soft ({soft}) is more than hard ({hard})")


def _number(node: Node | None) -> int | None:
    return node.value if node is not None and type(node.value) is int else None


def _size(limit: int) -> float:
    return float("inf") if limit < 0 else limit


def _memory(path: str, service: Node, problems: Problems) -> None:
    """The limit of memory bounds the others (moby daemon/daemon_unix.go, verifyPlatformContainerResources)."""
    limit = _number(service.get("mem_limit"))
    if not limit:
        return
    reservation, swap = service.get("mem_reservation"), service.get("memswap_limit")
    if reservation is not None and (_number(reservation) or 0) > limit:
        problems.add(reservation, f"cannot use {path}.mem_reservation: it is more than mem_limit")
    if swap is not None and 0 < (_number(swap) or 0) < limit:
        reason = "it counts memory and swap together, so it cannot be less than mem_limit"
        problems.add(swap, f"cannot use {path}.memswap_limit: {reason}")


def _mounts(path: str, service: Node, problems: Problems) -> None:
    volumes = service.get("volumes")
    for index, mount in enumerate(volumes.value if volumes is not None and type(volumes.value) is list else ()):
        where, target, kind = f"{path}.volumes[{index}]", mount.text("target"), mount.text("type")
        if target and not target.startswith("/"):
            hint = "a letter before a colon is read as a Windows drive: give the volume a longer name"
            reason = f"the target {target!r} is no absolute path"
            problems.add(mount, f"cannot use {where}: {reason}", hint=hint if target[1:2] == ":" else "")
        if kind == "image":
            problems.add(mount, f"cannot use {where}: images cannot be mounted yet")
        if kind in ("cluster", "npipe"):
            problems.add(mount, f"cannot use {where}: {kind} mounts do not exist on one Linux machine")


def _named(attribute: str) -> Callable[[str, Node, Problems], None]:
    """Texts by name: none of the names may be empty."""

    def check(path: str, service: Node, problems: Problems) -> None:
        pairs = service.get(attribute)
        node = pairs.get("") if pairs is not None else None
        if node is not None:
            problems.add(node, f"cannot use {path}.{attribute}: a name is empty", hint="write NAME=value")

    return check


# What is looked at as a whole where the attribute is written.
_TOGETHER: dict[str, Callable[[str, Node, Problems], None]] = {
    "sysctls": _sysctls,
    "ulimits": _ulimits,
    "mem_limit": _memory,
    "volumes": _mounts,
    "environment": _named("environment"),
    "labels": _named("labels"),
}
