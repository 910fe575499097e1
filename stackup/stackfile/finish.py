"""The merged tree to a complete one: defaults, names, the default network, implied dependencies, variables from files.

compose-go calls these steps SetDefaultValues and Normalize; the order here follows it where it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stackup.model.references import linked, shared_with, volumes_of
from stackup.model.stack import Service
from stackup.stackfile.environment import Environment
from stackup.stackfile.nodes import RESET, Node
from stackup.stackfile.problems import Problems
from stackup.stackfile.request import LoadRequest

NAMED = ("networks", "volumes", "secrets", "configs")
Fields = dict[str, Node]
BRIDGES = ("bridge", "default")  # modes that mean the engine's own network; here it is the project's default one
_REFERRED = "the service is referred to by "
_JOINS = "services without networks join the default one"


def as_run(service: Service) -> Service:
    """A service that was loaded to be shown, as it is when it is loaded to be run."""
    if service.network_mode not in BRIDGES or service.networks:
        return service
    return service.model_copy(update={"network_mode": None, "networks": {"default": None}})


def prune(node: Node) -> Node:
    """Drops what ``!reset`` left behind where there was nothing to reset."""
    value = node.value
    if type(value) is dict:
        changed = dict(_pruned(value.items()))
        if not changed:
            return node
        kept = {**value, **changed}
        return node.with_value({key: child for key, child in kept.items() if child is not None})
    if type(value) is list:
        replaced = dict(_pruned(enumerate(value)))
        if not replaced:
            return node
        items = [replaced.get(index, child) for index, child in enumerate(value)]
        return node.with_value([child for child in items if child is not None])
    return node


def _pruned(children: Iterable[tuple[Any, Node]]) -> Iterator[tuple[Any, Node | None]]:
    """The children that do not stay as they are; most do, as most are scalars."""
    for key, child in children:
        if child.tag == RESET:
            yield key, None
        elif type(child.value) in (dict, list):
            pruned = prune(child)
            if pruned is not child:
                yield key, pruned


def graves(node: Node, path: str = "") -> dict[str, Node]:
    """By their paths, the stones of values that ``!reset`` took away (see ``forms.merge_children``)."""
    value = node.value
    found: dict[str, Node] = {}
    for key, child in value.items() if type(value) is dict else enumerate(value) if type(value) is list else ():
        below = f"{path}.{key}" if path else str(key)
        if child.tag != RESET:
            found |= graves(child, below)
        elif child.shadow is not None:
            found[below] = child
    return found


class Finisher:
    """Completes one tree. Nodes are copied before they are changed: services that extend others share theirs."""

    def __init__(
        self, request: LoadRequest, directory: Path, name: str, environment: Environment, problems: Problems
    ) -> None:
        self.request = request
        self.directory = directory
        self.name = name
        self.environment = environment
        self.problems = problems
        self.removed: Fields = {}

    def finish(self, tree: Node, *, resets: bool = True) -> Node:
        """``resets``: some value may be marked ``!reset``."""
        pruned = prune(tree) if resets else tree
        self.removed = graves(tree) if pruned is not tree else {}
        sections: Fields = dict(pruned.value)
        services = sections.get("services")
        done: Fields = {}
        if services is not None and type(services.value) is dict:
            for name, service in services.value.items():
                if type(service.value) is dict:
                    done[name] = self.service(service)
            sections["services"] = services.with_value(done)
        if self.request.normalize:
            self.default_network(sections, tree, done)
            for section in (*NAMED, "models"):
                if section in sections and type(sections[section].value) is dict:
                    sections[section] = self.named(sections[section])
        return tree.with_value(sections)

    # --- services

    def service(self, service: Node) -> Node:
        fields: Fields = dict(service.value)
        self.defaults(fields)
        if self.request.normalize:
            self.normalize(service, fields)
        return service.with_value(fields)

    def defaults(self, fields: Fields) -> None:
        dependencies = fields.get("depends_on")
        if dependencies is not None:
            known = {name: _with_required(item) for name, item in dependencies.value.items()}
            fields["depends_on"] = dependencies.with_value(known)
        build = fields.get("build")
        if build is not None and "context" not in build.value:
            context = str(self.directory) if self.request.resolve_paths else "."
            fields["build"] = _with(
                build, context=build.implied(context, "the default context is the project directory")
            )
        scale, deploy = fields.get("scale"), fields.get("deploy")
        if scale is not None and deploy is not None and type(deploy.value) is dict and "replicas" not in deploy.value:
            fields["deploy"] = _with(deploy, replicas=scale.implied(scale.value, "it follows from scale"))
        _each(fields, "secrets", _secret_target)
        _each(fields, "gpus", _device_count)
        reservations = _below(fields, "deploy", "resources", "reservations")
        if reservations is not None and "devices" in reservations.value:
            deploy, resources = fields["deploy"], fields["deploy"].value["resources"]
            inner = dict(reservations.value)
            _each(inner, "devices", _device_count)
            resources = _with(resources, reservations=reservations.with_value(inner))
            fields["deploy"] = _with(deploy, resources=resources)

    def normalize(self, service: Node, fields: Fields) -> None:
        policy = fields.get("pull_policy")
        if policy is not None and policy.value == "if_not_present":
            fields["pull_policy"] = policy.with_value("missing")
        build = fields.get("build")
        if build is not None and not (build.text("dockerfile") or build.text("dockerfile_inline")):
            fields["build"] = _with(build, dockerfile=build.implied("Dockerfile", "the default name of a Dockerfile"))
        dependencies = list(references(fields))
        if dependencies:
            node = fields.get("depends_on")
            known: Fields = dict(node.value) if node is not None else {}
            for where, name, cause in dependencies:
                if name not in known:
                    restart = {} if where.startswith("volumes_from") else {"restart": True}
                    why = f"{_REFERRED}{cause.value!r}"
                    given = {"condition": "service_started", "required": True} | restart
                    known[name] = cause.under({key: cause.implied(value, why) for key, value in given.items()})
            fields["depends_on"] = (node or service).with_value(known)

    # --- top level

    def default_network(self, sections: Fields, tree: Node, services: Fields) -> None:
        used = False
        for name, service in services.items():
            fields = service.value
            networks = fields.get("networks")
            if self.request.run and service.text("network_mode") in BRIDGES and not (networks and networks.value):
                mode = fields["network_mode"]
                own = {key: item for key, item in fields.items() if key != "network_mode"}
                services[name] = service.with_value(
                    {**own, "networks": mode.under({"default": mode.implied(None, _JOINS)})}
                )
                used = True
                continue
            if "provider" in fields or "network_mode" in fields:
                continue
            if networks is None or not networks.value:
                services[name] = _with(service, networks=service.under({"default": service.implied(None, _JOINS)}))
                used = True
            elif "default" in networks.value:
                used = True
        if used:
            networks = sections.get("networks")
            known: Fields = dict(networks.value) if networks is not None and networks.value else {}
            known.setdefault("default", tree.implied(None, _JOINS))
            sections["networks"] = (networks or tree).with_value(known)

    def named(self, section: Node) -> Node:
        result: Fields = {}
        for key, node in section.value.items():
            fields: Fields = dict(node.value) if type(node.value) is dict else {}
            if "name" not in fields:
                external = "external" in fields and fields["external"].value is True
                why = "external ones have the name of their key" if external else "the project's name and the key"
                fields["name"] = node.implied(key if external else f"{self.name}_{key}", why)
            result[key] = node.with_value(fields)
        return section.with_value(result)


def _with(node: Node, **children: Node) -> Node:
    return node.with_value({**node.value, **children})


def _each(fields: Fields, name: str, change: Callable[[Node], Node]) -> None:
    node = fields.get(name)
    if node is not None and type(node.value) is list:
        fields[name] = node.with_value([change(item) if type(item.value) is dict else item for item in node.value])


def _below(fields: Fields, *names: str) -> Node | None:
    node = fields.get(names[0])
    for name in names[1:]:
        node = node.get(name) if node is not None else None
    return node if node is not None and type(node.value) is dict else None


def _with_required(dependency: Node) -> Node:
    return (
        dependency
        if "required" in dependency.value
        else _with(dependency, required=dependency.implied(True, "a dependency is required unless said otherwise"))
    )


def _secret_target(grant: Node) -> Node:
    if "target" in grant.value or not grant.text("source"):
        return grant
    return _with(grant, target=grant.implied(f"/run/secrets/{grant.text('source')}", "the default target of a secret"))


def _device_count(request: Node) -> Node:
    if "count" in request.value or "device_ids" in request.value:
        return request
    return _with(request, count=request.implied(-1, "all devices unless said otherwise"))


MODES = ("network_mode", "ipc", "pid", "uts", "cgroup")  # that make a dependency of ``service:NAME``


def references(fields: Mapping[str, Node]) -> Iterator[tuple[str, str, Node]]:
    """Services that must be there first although depends_on does not say so: (attribute, service, where)."""
    for index, link in _texts(fields.get("links")):
        yield f"links[{index}]", linked(link.value), link
    for mode in MODES:
        node = fields.get(mode)
        if node is not None and type(node.value) is str and (other := shared_with(node.value)):
            yield mode, other, node
    for index, source in _texts(fields.get("volumes_from")):
        if other := volumes_of(source.value):
            yield f"volumes_from[{index}]", other, source


def contexts(service: Node) -> Iterator[tuple[str, str, Node]]:
    """Services whose images the build of this one starts from: (name of the context, service, where)."""
    build = service.get("build")
    node = build.get("additional_contexts") if build is not None else None
    for key, context in node.value.items() if node is not None and type(node.value) is dict else ():
        if type(context.value) is str and (other := shared_with(context.value)):
            yield key, other, context


def is_implied(dependency: Node) -> bool:
    """True for an entry of ``depends_on`` that nobody wrote: it follows from ``links`` or the like."""
    condition = dependency.get("condition")
    return condition is not None and condition.origin is not None and condition.origin.reason.startswith(_REFERRED)


def _texts(node: Node | None) -> list[tuple[int, Node]]:
    items = node.value if node is not None and type(node.value) is list else ()
    return [(index, item) for index, item in enumerate(items) if type(item.value) is str]
