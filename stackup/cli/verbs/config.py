"""``stackup config``: the stack file as it is understood, everything filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackup.base.errors import StackFileError, StackupError
from stackup.base.names import image_name
from stackup.cli import report
from stackup.cli.configtext import chosen, dependencies_first, in_order, unknown_service, variables
from stackup.cli.imagedigests import lock, pin
from stackup.cli.options import switch, value
from stackup.cli.resolve import read
from stackup.cli.session import Session
from stackup.cli.verbs.common import services

if TYPE_CHECKING:
    from stackup.stackfile import Loaded

NEEDS_ROOT = False


@dataclass(frozen=True)
class Request:
    """Check the stack file and print it in full."""

    names: tuple[str, ...] = services("Services, with what they depend on (default: all).")
    format: str = value("--format", help="Output format (default: yaml).", default="", choices=("yaml", "json"))
    quiet: bool = switch("-q", "--quiet", help="Only check, print nothing.")
    output: str = value("-o", "--output", help="Write to a file.", default="", metavar="PATH")
    services: bool = switch("--services", help="Names of services, one a line.")
    volumes: bool = switch("--volumes", help="Names of volumes, one a line.")
    networks: bool = switch("--networks", help="Names of networks, one a line.")
    models: bool = switch("--models", help="Names of AI models, one a line.")
    images: bool = switch("--images", help="Images of the services, one a line.")
    profiles: bool = switch("--profiles", help="Names of profiles, one a line.")
    hash: str = value(
        "--hash", help="Configuration hash of a service, or of all with '*'.", default="", metavar="SERVICE"
    )
    environment: bool = switch("--environment", help="The variables of the project, with their values.")
    variables: bool = switch("--variables", help="The variables that the file uses, with their defaults.")
    explain: str = value(
        "--explain",
        help="Why a value is what it is, such as services.web.environment.DEBUG; of a section, every value in it.",
        default="",
        metavar="PATH",
    )
    no_interpolate: bool = switch("--no-interpolate", help="Leave variables as they are written.")
    no_path_resolution: bool = switch("--no-path-resolution", help="Leave relative paths as they are written.")
    no_env_resolution: bool = switch("--no-env-resolution", help="Leave env_file as it is written.")
    no_consistency: bool = switch("--no-consistency", help="Do not check what refers to what.")
    no_normalize: bool = switch("--no-normalize", help="Do not fill in defaults.")
    resolve_image_digests: bool = switch("--resolve-image-digests", help="Say which content each image's tag is now.")
    lock_image_digests: bool = switch("--lock-image-digests", help="An override file with the images' digests.")

    @property
    def only_part(self) -> bool:
        """A list or one value is asked for: what ``up`` would say of the rest is no answer."""
        lists = (self.services, self.volumes, self.networks, self.models, self.images, self.profiles, self.environment)
        return any(lists) or bool(self.hash or self.explain)


def run(session: Session, request: Request) -> int:
    loaded = _load(session, request)
    colour = session.console.colour_out and not request.output
    warnings = () if request.explain else loaded.warnings  # its answer says what is unset
    as_json = request.format == "json"
    try:
        text = _explained(loaded, request, colour) if request.explain else render(loaded, request, session.environment)
    except StackupError as error:
        if as_json:  # one document
            error.notices = (*error.notices, *warnings)
        elif warnings:
            report.warn(warnings, session.console)
        raise
    if warnings:
        report.warn(warnings, session.console, as_json=as_json)
    if request.quiet:
        return 0
    if request.output:
        _write(Path(session.cwd, request.output), text)
    else:
        session.console.out.write(text)
    return 0


def _load(session: Session, request: Request) -> Loaded:
    """Reads the files; a service that is named is shown even where its profile is not active, as it would run."""
    as_written = request.no_interpolate or request.variables
    switches = {
        "interpolate": not as_written,
        "resolve_paths": not request.no_path_resolution,
        "resolve_environment": not (request.no_env_resolution or as_written),
        "all_resources": as_written,
        "check_consistency": not request.no_consistency,
        "normalize": not (request.no_normalize or as_written),
        "run": False,
        "outlook": not (as_written or request.no_consistency or request.only_part),
        "named": request.names,
    }
    loaded = _read(session, request, switches)
    hidden = [loaded.stack.disabled[name] for name in request.names if name in loaded.stack.disabled]
    if hidden:
        profiles = (*loaded.profiles, *(profile for service in hidden for profile in service.profiles))
        session.options = replace(session.options, profile=tuple(dict.fromkeys(profiles)))
        loaded = _read(session, request, switches)
    return loaded


def _read(session: Session, request: Request, switches: dict[str, Any]) -> Loaded:
    try:
        return read(session, **switches)
    except StackFileError as error:
        if error.notices and request.format != "json":
            report.warn(error.notices, session.console)
        raise


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise StackupError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def render(loaded: Loaded, request: Request, environment: Mapping[str, str]) -> str:
    """The text that was asked for; lists hold one name a line."""
    if request.variables:
        return variables(as_written(loaded), request.format)
    listing = _listing(loaded, request)
    if listing is not None:
        if request.format == "json":
            return json.dumps(listing, ensure_ascii=False) + "\n"
        lines = (
            listing
            if isinstance(listing, list)
            else map("=".join if request.environment else " ".join, listing.items())
        )
        return "".join(f"{line}\n" for line in lines)
    config = _config(loaded, request)
    if request.lock_image_digests or request.resolve_image_digests:
        config = pin(config, environment)
    if request.lock_image_digests:
        config = lock(config)
    if request.format == "json":
        return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    from stackup.stackfile.yamltext import as_yaml

    return as_yaml(config)


def _config(loaded: Loaded, request: Request) -> dict[str, Any]:
    """As in docker compose, only YAML shows models and the extensions below the top level."""
    if request.no_interpolate:
        config = as_written(loaded)
    else:
        config = filled_in(loaded, complete=request.format != "json")
    return in_order(chosen(config, request.names)) if request.names else config


def _explained(loaded: Loaded, request: Request, colour: bool) -> str:
    from stackup.cli.explaintext import as_json, as_text
    from stackup.stackfile.explain import explain

    found = explain(loaded, request.explain)
    return as_json(found) if request.format == "json" else as_text(found, colour=colour)


def filled_in(loaded: Loaded, *, complete: bool = False) -> dict[str, Any]:
    from stackup.stackfile import canonical

    config = in_order(canonical(loaded.stack, complete=complete))
    if complete:
        for service in config.get("services", {}).values():
            for name in ("command", "entrypoint"):
                if service.get(name, "") is None:
                    del service[name]
    return config


def as_written(loaded: Loaded) -> dict[str, Any]:
    """Long forms, but nothing filled in: what ``--no-interpolate`` shows can be read as a stack file."""
    from stackup.stackfile.canonical import canonical_tree

    return in_order({"name": loaded.stack.name, **canonical_tree(loaded.tree)})


def _listing(loaded: Loaded, request: Request) -> list[str] | dict[str, str] | None:
    """The first list that was asked for, as plain data; None when the whole configuration was."""
    if request.environment:
        return dict(sorted(loaded.environment.items()))
    if request.hash:
        return _hashes(loaded, request.hash)
    if request.profiles:
        everything = {**loaded.stack.services, **loaded.stack.disabled}
        return sorted({profile for service in everything.values() for profile in service.profiles})
    names = (request.services, request.volumes, request.networks, request.models, request.images)
    if not any(names):
        return None
    config = as_written(loaded) if request.no_interpolate else filled_in(loaded, complete=True)
    config = chosen(config, request.names) if request.names else config
    items: dict[str, dict[str, Any]] = config.get("services", {})
    if request.services:
        return dependencies_first(items)
    if request.images:
        return sorted(item.get("image") or image_name(config["name"], name) for name, item in items.items())
    if request.models:
        return sorted(item["model"] for item in config.get("models", {}).values() if item.get("model"))
    return sorted(config.get("volumes" if request.volumes else "networks", {}))


def _hashes(loaded: Loaded, wanted: str) -> dict[str, str]:
    from stackup.planner.hashing import config_hash, service_config
    from stackup.stackfile.finish import as_run

    stack = loaded.stack
    names = sorted(stack.services) if wanted == "*" else sorted(wanted.split(","))
    for name in names:
        if name not in stack.services:
            raise unknown_service("hash", name, dict(stack.services))
    return {name: config_hash(service_config(stack, as_run(stack.services[name]))) for name in names}
