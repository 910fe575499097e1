"""What the form of each value cannot say: references, exclusions and limits between attributes of the whole stack.

The list follows compose-go's checkConsistency and validation packages; every finding points at the line that causes it.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping
from itertools import chain, islice

from stackup.stackfile.finish import contexts, is_implied, references
from stackup.stackfile.nodes import Node
from stackup.stackfile.ports import is_address
from stackup.stackfile.problems import Problems, Told
from stackup.stackfile.reader import show

Fields = Mapping[str, Node]
MAX_SHOWN = 12  # services that a hint lists
_EMPTY: dict[str, Node] = {}
_TWICE = frozenset(("scale", "cpus", "mem_limit", "mem_reservation", "pids_limit"))  # deploy can say the same


def children(node: Node | None) -> Mapping[str, Node]:
    return node.value if node is not None and type(node.value) is dict else _EMPTY


class Checker:
    """One pass over the enabled services and the resources. ``disabled`` are services that no profile selects.

    ``unsure`` are services of which something could not be read: nothing is concluded from what they lack. ``told`` is
    what is known to be wrong already.
    """

    def __init__(
        self,
        tree: Node,
        enabled: Fields,
        disabled: Fields,
        problems: Problems,
        *,
        told: Told,
        unsure: Container[str] = (),
    ) -> None:
        self.told = told
        self.tree = tree
        self.enabled = enabled
        self.disabled = disabled
        self.problems = problems
        self.unsure = unsure
        self.resources = {
            section: children(tree.get(section)) for section in ("networks", "volumes", "secrets", "configs", "models")
        }

    def check(self) -> None:
        names: dict[str, str] = {}
        for name, service in self.enabled.items():
            self.service(name, service, names)

    def refuse(self, node: Node, path: str, reason: str, hint: str = "", *, at_key: bool = False) -> None:
        self.problems.add(node, f"cannot use {path}: {reason}", hint=hint, at_key=at_key)

    def service(self, name: str, service: Node, names: dict[str, str]) -> None:
        path = f"services.{name}"
        fields = children(service)
        if name not in self.unsure and not (service.text("image") or "build" in fields or "provider" in fields):
            self.refuse(service, path, "it has neither an image nor a build", "add image: or build:", at_key=True)
        self.references(path, service)
        self.dependencies(path, service)
        if "build" in fields:
            self.build(path, service)
        self.exclusions(path, service)
        if not _TWICE.isdisjoint(fields):
            self.numbers(path, service)
        if "container_name" in fields:
            self.container_name(name, path, service, names)
        self.mounts(path, service)
        for index, port in enumerate(_items(service, "ports")):
            self.port(f"{path}.ports[{index}]", port)
        if "develop" in fields:
            for index, rule in enumerate(_items(service.get("develop"), "watch")):
                self.watch(f"{path}.develop.watch[{index}]", rule)
        if "healthcheck" in fields:
            self.healthcheck(path, service)

    # --- references to top-level resources

    def references(self, path: str, service: Node) -> None:
        for network, node in children(service.get("networks")).items():
            if network != "default" or not service.text("network_mode"):  # else it is there only where others join it
                self.defined("networks", network, node, f"{path}.networks", at_key=bool(node.key_line))
        for index, mount in enumerate(_items(service, "volumes")):
            source = mount.get("source")
            if mount.text("type") == "volume" and source is not None and source.value:
                self.defined("volumes", source.value, source, f"{path}.volumes[{index}]", at_key=False)
        for section in ("secrets", "configs"):
            for index, grant in enumerate(_items(service, section)):
                source = grant.get("source")
                if source is not None:
                    self.defined(section, source.value, source, f"{path}.{section}[{index}]", at_key=False)
                elif f"{path}.{section}[{index}]" not in self.told:
                    self.refuse(grant, f"{path}.{section}[{index}]", "its source is missing")
        for index, grant in enumerate(_items(service.get("build"), "secrets")):
            source = grant.get("source")
            if source is not None:
                self.defined("secrets", source.value, source, f"{path}.build.secrets[{index}]", at_key=False)
            elif f"{path}.build.secrets[{index}]" not in self.told:
                self.refuse(grant, f"{path}.build.secrets[{index}]", "its source is missing")
        for model, node in children(service.get("models")).items():
            self.defined("models", model, node, f"{path}.models", at_key=bool(node.key_line))

    def defined(self, section: str, key: str, node: Node, path: str, *, at_key: bool) -> None:
        if key in self.resources[section] or self.told.lost:
            return
        if section in self.told.places or f"{section}.{key}" in self.told:
            return
        noun = section.removesuffix("s")
        hint = self.problems.did_you_mean(key, self.resources[section])
        if not hint:
            hint = f"define it at the top level: {section}: {{{key}: ...}}"
            if section in ("volumes", "networks"):
                hint = f"define it at the top level: {section}: {{{key}: {{}}}}"
            if section == "volumes" and "/" in key:
                hint = f"a path on the host begins with '/', './' or '~': ./{key}"
        self.refuse(node, path, f"the {noun} {key!r} is not defined", hint, at_key=at_key)

    # --- references to services

    def dependencies(self, path: str, service: Node) -> None:
        known = children(service.get("depends_on"))
        for other, node in known.items():
            if other not in self.enabled and not is_implied(node):
                self.absent_service(other, node, f"{path}.depends_on", known, at_key=bool(node.key_line))
        for where, other, node in references(children(service)):
            if other not in self.enabled and other in known:
                self.absent_service(other, node, f"{path}.{where}", known)
        self.additional_contexts(path, service)

    def absent_service(self, other: str, node: Node, path: str, known: Fields, *, at_key: bool = False) -> None:
        """``node`` names a service that is not there, or that no profile selects. ``known``: the ``depends_on``."""
        if self.told.lost or "services" in self.told.places:
            return
        if other not in self.disabled:
            names = chain(self.enabled, self.disabled)
            hint = self.problems.did_you_mean(other, names) or self.others(path)
            self.refuse(node, path, f"there is no service {other!r}", hint, at_key=at_key)
            return
        if self.problems.doubtful:  # what switches profiles on may not have been read
            return
        required = known[other].get("required") if other in known else None
        if required is None or required.value is not False:
            profiles = ", ".join(str(item.value) for item in _items(self.disabled[other], "profiles"))
            hint = f"switch its profile on: --profile {profiles}" if profiles else ""
            reason = f"the service {other!r} is not part of the active profiles"
            self.refuse(node, path, reason, hint, at_key=at_key)

    def others(self, path: str) -> str:
        """The services beside the one at ``path``, for one that names none of them."""
        names = (name for name in chain(self.enabled, self.disabled) if not path.startswith(f"services.{name}."))
        shown = list(islice(names, MAX_SHOWN + 1))
        more = " ..." if len(shown) > MAX_SHOWN else ""
        if len(shown) == 1:
            return f"there is only {shown[0]!r} beside it"
        return f"there are: {', '.join(shown[:MAX_SHOWN])}{more}" if shown else ""

    def additional_contexts(self, path: str, service: Node) -> None:
        for key, other, node in contexts(service):
            where = f"{path}.build.additional_contexts.{key}"
            if other not in self.enabled:
                self.absent_service(other, node, where, {})
            elif self.enabled[other].get("build") is None:
                self.refuse(node, where, f"the service {other!r} has no build")

    # --- one service

    def build(self, path: str, service: Node) -> None:
        build = service.get("build")
        if build is None:
            return
        inline = build.get("dockerfile_inline")
        if inline is not None and inline.value and build.text("dockerfile"):
            self.refuse(inline, f"{path}.build", "dockerfile and dockerfile_inline exclude each other", at_key=True)
        platforms = [str(item.value) for item in _items(build, "platforms")]
        platform = service.get("platform")
        if platform is not None and platform.value and platforms and platform.value not in platforms:
            self.refuse(platform, f"{path}.platform", f"it is none of build.platforms ({', '.join(platforms)})")

    def exclusions(self, path: str, service: Node) -> None:
        mode, networks = service.get("network_mode"), service.get("networks")
        if mode is not None and mode.value and networks is not None and networks.value:
            self.refuse(
                mode, f"{path}.network_mode", "network_mode and networks exclude each other", "remove one", at_key=True
            )

    def numbers(self, path: str, service: Node) -> None:
        """The same limit said in two places must be the same."""
        limits = _find(service, "deploy", "resources", "limits")
        reservations = _find(service, "deploy", "resources", "reservations")
        pairs = (
            ("scale", _find(service, "deploy"), "replicas", "deploy.replicas", True),
            ("cpus", limits, "cpus", "deploy.resources.limits.cpus", False),
            ("mem_limit", limits, "memory", "deploy.resources.limits.memory", False),
            ("mem_reservation", reservations, "memory", "deploy.resources.reservations.memory", False),
            ("pids_limit", limits, "pids", "deploy.resources.limits.pids", False),
        )
        for attribute, parent, key, other, optional in pairs:
            here = service.get(attribute)
            if here is None or parent is None or (key not in parent.value if optional else not here.value):
                continue
            there = parent.get(key)
            if there is None:
                reason = f"{other} must say the same, as other limits stand there"
                self.refuse(here, f"{path}.{attribute}", reason, "write all limits in one place", at_key=True)
            elif here.value != there.value:
                reason = f"{other} says something else (line {there.line})"
                self.refuse(here, f"{path}.{attribute}", reason, at_key=True)

    def container_name(self, name: str, path: str, service: Node, names: dict[str, str]) -> None:
        node = service.get("container_name")
        if node is None or not node.value:
            return
        other = names.setdefault(node.value, name)
        if other != name:
            self.refuse(node, f"{path}.container_name", f"{show(node)} is taken by the service {other!r}")
        for where, scale in (
            ("deploy.replicas", _find(service, "deploy", "replicas")),
            ("scale", service.get("scale")),
        ):
            if scale is not None and type(scale.value) is int and scale.value > 1:
                reason = f"{scale.value} containers cannot all have the container_name {show(node)}"
                self.refuse(scale, f"{path}.{where}", reason, "remove container_name, or have one container")
                break

    def mounts(self, path: str, service: Node) -> None:
        """Nothing may be mounted where something else is already."""
        taken: dict[str, tuple[str, Node]] = {}
        for what, target, node in _mounted(service):
            if not target or target not in taken:
                taken[target] = (what, node)
                continue
            other, first = taken[target]
            where = f"line {first.line}" if first.source is node.source else self.problems.short(first.position)
            self.refuse(
                node, f"{path}.{what}", f"{target} is mounted already, by {other} in {where}", "remove one of the two"
            )

    def port(self, path: str, port: Node) -> None:
        if type(port.value) is not dict:
            return
        address = port.text("host_ip")
        if address and "$" not in address and not is_address(address):
            self.refuse(port.get("host_ip") or port, path, f"{address!r} is no IP address")

    def watch(self, path: str, rule: Node) -> None:
        action = rule.text("action")
        if action.startswith("sync") and not rule.text("target"):
            self.refuse(rule, path, f"the action {action} needs a target, the path in the container")
        if rule.get("path") is not None and not rule.text("path"):
            self.refuse(rule, path, "its path is empty")

    def healthcheck(self, path: str, service: Node) -> None:
        test = _find(service, "healthcheck", "test")
        words = [item.value for item in test.value] if test is not None and type(test.value) is list else []
        if test is not None and words and words[0] not in ("NONE", "CMD", "CMD-SHELL"):
            self.refuse(
                test,
                f"{path}.healthcheck.test",
                f"a list begins with NONE, CMD or CMD-SHELL, not {words[0]!r}",
                "write a text to have a shell run it, or put CMD first",
            )


def _mounted(service: Node) -> Iterator[tuple[str, str, Node]]:
    """What is mounted into a service's containers: (attribute, target, where it is said)."""
    for node in _items(service, "tmpfs"):
        yield "tmpfs", str(node.value or "").partition(":")[0], node
    for node in _items(service, "volumes"):
        yield "volumes", node.text("target"), node
    for node in _items(service, "configs"):
        yield "configs", os.path.join("/", node.text("target") or node.text("source")), node
    for node in _items(service, "secrets"):
        yield "secrets", os.path.join("/run/secrets", node.text("target") or node.text("source")), node


def _items(node: Node | None, name: str) -> list[Node]:
    child = node.get(name) if node is not None else None
    return child.value if child is not None and type(child.value) is list else []


def _child(node: Node | None, name: str) -> Node | None:
    return node.get(name) if node is not None else None


def _find(node: Node | None, *names: str) -> Node | None:
    for name in names:
        node = node.get(name) if node is not None else None
    return node
