"""``config``'s plain data: parts of it, in the order that people write it, and the variables in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from stackup.base.errors import UsageError

# Sections whose entries services name; what no chosen service names is left out.
SECTIONS = ("networks", "volumes", "secrets", "configs", "models")
TOP = ("name", "services", *SECTIONS)


def in_order(config: dict[str, Any]) -> dict[str, Any]:
    """The sections as people write them, everything inside them by name."""
    known = [name for name in TOP if name in config]
    rest = sorted(name for name in config if name not in TOP)
    return {name: _sorted(config[name]) for name in (*known, *rest)}


def _sorted(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _sorted(data[name]) for name in sorted(data)}
    return [_sorted(item) for item in data] if isinstance(data, list) else data


def chosen(config: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """``config`` with these services, what they depend on, and what these use. Raises UsageError."""
    services: dict[str, dict[str, Any]] = config.get("services", {})
    wanted: dict[str, None] = {}
    queue = list(names)
    while queue:
        name = queue.pop()
        if name not in services:
            raise unknown_service("show", name, services)
        if name not in wanted:
            wanted[name] = None
            queue += [other for other in services[name].get("depends_on") or () if other in services]
    kept = {name: item for name, item in services.items() if name in wanted}
    result = {**config, "services": kept}
    for section in SECTIONS:
        used = {name for item in kept.values() for name in _used(item, section)}
        left = {name: item for name, item in config.get(section, {}).items() if name in used}
        result.pop(section, None)
        result |= {section: left} if left else {}
    return result


def _used(service: dict[str, Any], section: str) -> list[str]:
    """Names in a service's section: the keys of a mapping, or the ``source`` of each entry."""
    entries = service.get(section) or ()
    names = list(entries) if isinstance(entries, dict) else [item["source"] for item in entries if "source" in item]
    if section == "secrets":
        names += [item["source"] for item in (service.get("build") or {}).get("secrets", ()) if "source" in item]
    return names


def unknown_service(verb: str, name: str, services: Sequence[str] | dict[str, Any]) -> UsageError:
    from stackup.stackfile.problems import did_you_mean

    hint = did_you_mean(name, services) or f"there are: {', '.join(sorted(services))}"
    return UsageError(f"cannot {verb} service {name}: there is no such service", hint=hint)


def dependencies_first(services: dict[str, dict[str, Any]]) -> list[str]:
    """The names in alphabetical order, but none before the services that it depends on."""
    ordered: dict[str, None] = {}
    open_names: set[str] = set()
    stack = sorted(services, reverse=True)
    while stack:
        name = stack[-1]
        wanted = services[name].get("depends_on") or ()
        missing = [item for item in sorted(wanted) if item in services and not (item in ordered or item in open_names)]
        if name in ordered or not missing:
            ordered[stack.pop()] = None
        else:
            open_names.add(name)
            stack += reversed(missing)
    return list(ordered)


def variables(config: dict[str, Any], form: str) -> str:
    """Every variable that the file mentions, once, in order of their names; ``form`` is "", yaml or json.

    Table, keys and spelling are docker compose's.
    """
    from stackup.stackfile.template import mentioned

    found = mentioned(_strings(config))
    inside = [found[name] for name in sorted(found)]
    if form:
        names = ("Name", "DefaultValue", "PresenceValue", "Required")
        if form == "yaml":
            names = ("name", "defaultvalue", "presencevalue", "required")
        data = {
            use.name: dict(zip(names, (use.name, use.default, use.alternative, use.required), strict=True))
            for use in inside
        }
        return _as(form, data)
    rows = [
        ("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"),
        *((use.name, str(use.required).lower(), use.default, use.alternative) for use in inside),
    ]
    widths = [max(20, *(len(row[index]) + 3 for row in rows)) for index in range(3)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + row[3] + "\n" for row in rows
    )


def _as(form: str, data: dict[str, Any]) -> str:
    if form == "json":
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
    from stackup.stackfile.yamltext import as_yaml

    return as_yaml(data)


def _strings(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for item in data.values():
            yield from _strings(item)
    elif isinstance(data, list):
        for item in data:
            yield from _strings(item)
