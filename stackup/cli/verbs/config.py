"""``stackup config``: the stack file as it is understood, everything filled in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackup.base.errors import UsageError
from stackup.base.names import image_name
from stackup.cli.configtext import as_yaml, chosen, in_order, variables
from stackup.cli.options import switch, value
from stackup.cli.session import Session
from stackup.cli.verbs.common import services

if TYPE_CHECKING:
    from stackup.stackfile import Loaded

NEEDS_ROOT = False


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
    environment: bool = switch("--environment", help="The variables of the project, with their values.")
    variables: bool = switch("--variables", help="The variables that the file uses, with their defaults.")
    no_interpolate: bool = switch("--no-interpolate", help="Leave variables as they are written.")
    no_path_resolution: bool = switch("--no-path-resolution", help="Leave relative paths as they are written.")
    no_env_resolution: bool = switch("--no-env-resolution", help="Leave env_file as it is written.")
    no_consistency: bool = switch("--no-consistency", help="Do not check what refers to what.")
    no_normalize: bool = switch("--no-normalize", help="Do not fill in defaults.")


def run(session: Session, request: Request) -> int:
    loaded = session.load(
        interpolate=not (request.no_interpolate or request.variables),
        resolve_paths=not request.no_path_resolution,
        resolve_environment=not request.no_env_resolution,
        check_consistency=not request.no_consistency,
        normalize=not request.no_normalize,
        run=False,
    )
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
    if request.variables:
        return variables(as_written(loaded), as_json=request.format == "json")
    config = as_written(loaded) if request.no_interpolate else filled_in(loaded)
    if request.names:
        config = chosen(config, request.names)
    listing = _listing(loaded, config, request)
    if listing is not None:
        return "".join(f"{line}\n" for line in listing)
    if request.format == "json":
        return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    return as_yaml(config)


def filled_in(loaded: Loaded) -> dict[str, Any]:
    from stackup.stackfile import canonical

    return in_order(canonical(loaded.stack))


def as_written(loaded: Loaded) -> dict[str, Any]:
    from stackup.stackfile.nodes import plain

    return {"name": loaded.stack.name, **plain(loaded.tree)}


def _listing(loaded: Loaded, config: dict[str, Any], request: Request) -> list[str] | None:
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
        return [f"{name}={value}" for name, value in sorted(loaded.environment.items())]
    if request.hash:
        return _hashes(loaded, request.hash)
    return None


def _hashes(loaded: Loaded, wanted: str) -> list[str]:
    from stackup.planner.hashing import config_hash, service_config

    stack = loaded.stack
    names = sorted(stack.services) if wanted == "*" else wanted.split(",")
    for name in names:
        if name not in stack.services:
            raise UsageError(f"cannot hash service {name}: there is no such service")
    return [f"{name} {config_hash(service_config(stack, stack.services[name]))}" for name in names]
