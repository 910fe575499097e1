"""``config``'s plain data: parts of it, as YAML, and the variables in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from stackup.base.errors import UsageError
from stackup.cli.table import table

# Sections whose entries services name; what no chosen service names is left out.
SECTIONS = ("networks", "volumes", "secrets", "configs")
TOP = ("name", "services", *SECTIONS, "models")


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
            raise UsageError(f"cannot show service {name}: there is no such service")
        if name not in wanted:
            wanted[name] = None
            queue += services[name].get("depends_on") or ()
    kept = {name: item for name, item in services.items() if name in wanted}
    result = {**config, "services": kept}
    for section in SECTIONS:
        used = {name for item in kept.values() for name in _used(item.get(section) or ())}
        left = {name: item for name, item in config.get(section, {}).items() if name in used}
        result.pop(section, None)
        result |= {section: left} if left else {}
    return result


def _used(entries: Any) -> list[str]:
    """Names in a service's section: the keys of a mapping, or the ``source`` of each entry."""
    return list(entries) if isinstance(entries, dict) else [item["source"] for item in entries if "source" in item]


def as_yaml(config: dict[str, Any]) -> str:
    """Block style; strings that YAML 1.2 would read as numbers are quoted, too."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^0o[0-7]+$"), ["0"])
    return str(yaml.dump(config, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1 << 20))


def variables(config: dict[str, Any], *, as_json: bool) -> str:
    """Every variable that the file mentions, once, in order of their names."""
    from stackup.stackfile.template import uses

    found = {use.name: use for text in reversed(list(_strings(config))) for use in uses(text)}
    uses_in_order = [found[name] for name in sorted(found)]
    if as_json:
        data = {
            use.name: {"required": use.required, "defaultValue": use.default, "presenceValue": use.alternative}
            for use in uses_in_order
        }
        return json.dumps(data, indent=2) + "\n"
    rows = [(use.name, str(use.required).lower(), use.default, use.alternative) for use in uses_in_order]
    return table(("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"), rows)


def _strings(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for item in data.values():
            yield from _strings(item)
    elif isinstance(data, list):
        for item in data:
            yield from _strings(item)
