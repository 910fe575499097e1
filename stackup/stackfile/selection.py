"""Which services and resources of a stack take part: active profiles, and what those services use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stackup.stackfile.check import children
from stackup.stackfile.finish import Fields
from stackup.stackfile.nodes import Node


def select(tree: Node, profiles: tuple[str, ...]) -> tuple[Fields, Fields]:
    """Services that the profiles switch on, and the others. ``*`` is every profile."""
    enabled: Fields = {}
    disabled: Fields = {}
    for name, service in children(tree.get("services")).items():
        wanted = service.get("profiles")
        names = [item.value for item in wanted.value] if wanted is not None and type(wanted.value) is list else []
        on = not names or "*" in profiles or any(item in profiles for item in names)
        (enabled if on else disabled)[name] = service
    return enabled, disabled


def reached(names: Iterable[str], services: Fields) -> Fields:
    """Of ``services`` those that are named, and what they depend on; in their order."""
    found: set[str] = set()
    waiting = [name for name in names if name in services]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [other for other in children(services[name].get("depends_on")) if other in services]
    return {name: service for name, service in services.items() if name in found}


def without_unused(tree: Node, enabled: Mapping[str, Node]) -> Node:
    """Leaves out networks, volumes, secrets and configs that no enabled service uses, as Compose does."""
    used: dict[str, set[str]] = {name: set() for name in ("networks", "volumes", "secrets", "configs", "models")}
    for service in enabled.values():
        build = service.get("build")
        used["networks"].update(children(service.get("networks")))
        used["models"].update(children(service.get("models")))
        for section, items in (
            ("volumes", service.get("volumes")),
            ("secrets", service.get("secrets")),
            ("configs", service.get("configs")),
            ("secrets", build.get("secrets") if build is not None else None),
        ):
            for item in items.value if items is not None and type(items.value) is list else ():
                if section != "volumes" or item.text("type") == "volume":
                    used[section].add(item.text("source"))
    sections = dict(tree.value)
    for section, names in used.items():
        node = sections.get(section)
        if node is not None and type(node.value) is dict:
            sections[section] = node.with_value({key: item for key, item in node.value.items() if key in names})
    return tree.with_value(sections)
