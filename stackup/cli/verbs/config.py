"""``stackup config``: the stack file as it is understood, everything filled in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackup.base.errors import UsageError
from stackup.base.names import image_name
from stackup.cli.options import switch, value
from stackup.cli.session import Session
from stackup.cli.verbs.common import services

if TYPE_CHECKING:
    from stackup.stackfile import Loaded

NEEDS_ROOT = False
# Sections whose entries services name; what no chosen service names is left out.
SECTIONS = ("networks", "volumes", "secrets", "configs")


@dataclass(frozen=True)
class Request:
    """Check the stack file and print it in full."""

    names: tuple[str, ...] = services("Services, with what they depend on (default: all).")
    format: str = value("--format", help="Output format.", default="yaml", choices=("yaml", "json"))
    quiet: bool = switch("-q", "--quiet", help="Only check, print nothing.")
    output: str = value("-o", "--output", help="Write to a file.", default="", metavar="PATH")
    services: bool = switch("--services", help="Names of services, one a line.")
    volumes: bool = switch("--volumes", help="Names of volumes, one a line.")
    networks: bool = switch("--networks", help="Names of networks, one a line.")
    images: bool = switch("--images", help="Names of images, one a line.")
    profiles: bool = switch("--profiles", help="Names of profiles, one a line.")
    hash: str = value(
        "--hash", help="Configuration hash of a service, or of all with '*'.", default="", metavar="SERVICE"
    )
    environment: bool = switch("--environment", help="Variables that are used for interpolation.")


def run(session: Session, request: Request) -> int:
    loaded = session.load()
    text = render(session, loaded, request)
    if request.quiet:
        return 0
    if request.output:
        Path(session.cwd, request.output).write_text(text, encoding="utf-8")
    else:
        session.console.out.write(text)
    return 0


def render(session: Session, loaded: Loaded, request: Request) -> str:
    """The text that was asked for; lists are sorted, one name a line."""
    from stackup.stackfile import canonical

    config = canonical(loaded.stack)
    if request.names:
        config = chosen(config, request.names)
    listing = _listing(session, loaded, config, request)
    if listing is not None:
        return "".join(f"{line}\n" for line in listing)
    if request.format == "json":
        return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    return as_yaml(config)


def _listing(session: Session, loaded: Loaded, config: dict[str, Any], request: Request) -> list[str] | None:
    services: dict[str, dict[str, Any]] = config.get("services", {})
    if request.services:
        return sorted(services)
    if request.volumes:
        return sorted(config.get("volumes", {}))
    if request.networks:
        return sorted(config.get("networks", {}))
    if request.images:
        return sorted({item.get("image") or image_name(config["name"], name) for name, item in services.items()})
    if request.profiles:
        return sorted({profile for item in services.values() for profile in item.get("profiles", ())})
    if request.environment:
        return [
            f"{name}={session.environment[name]}" for name in sorted(loaded.variables) if name in session.environment
        ]
    if request.hash:
        return _hashes(loaded, request.hash)
    return None


def _hashes(loaded: Loaded, wanted: str) -> list[str]:
    from stackup.planner.hashing import config_hash

    names = sorted(loaded.stack.services) if wanted == "*" else wanted.split(",")
    for name in names:
        if name not in loaded.stack.services:
            raise UsageError(f"cannot hash service {name}: there is no such service")
    return [f"{name} {config_hash(loaded.stack.services[name])}" for name in names]


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
