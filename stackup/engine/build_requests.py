"""What a service's ``build`` asks of the builder, with what it names elsewhere in the stack filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackup.base.errors import StackFileError
from stackup.engine.observe import service_image
from stackup.images.registry.caller import relevant
from stackup.model.stack import Build, Stack

KEEP_FAILED = "STACKUP_KEEP_FAILED_STEP"  # in the user's environment: a name to keep a failed step under
QUIET = "STACKUP_QUIET_BUILD"  # likewise: nobody wants to see what commands print
_EPOCH = "SOURCE_DATE_EPOCH"
_AGENT = "SSH_AUTH_SOCK"
_SERVICE = "service:"


def build_request(stack: Stack, service_name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """``build.BuildRequest`` as JSON. Arguments without a value take the user's, as docker compose does. Raises
    StackFileError."""
    build = stack.services[service_name].build
    if build is None:
        raise StackFileError(f"cannot build service {service_name}: it has no `build`")
    args = {name: environment.get(name) if value is None else value for name, value in build.args.items()}
    if environment.get(_EPOCH):
        args.setdefault(_EPOCH, environment[_EPOCH])  # as buildx does (build/opt.go)
    insecure = ("security.insecure",) if build.privileged else ()
    return {
        "context": build.context or ".",
        "dockerfile": build.dockerfile or "",
        "inline": build.dockerfile_inline or "",
        "target": build.target or "",
        "args": {name: value for name, value in args.items() if value is not None},
        "tags": [service_image(stack, service_name), *build.tags],
        "labels": dict(build.labels),
        "network": build.network or "",
        "no_cache": build.no_cache,
        "no_cache_filter": list(build.no_cache_filter),
        "pull": build.pull,
        "extra_hosts": {name: list(targets) for name, targets in build.extra_hosts.items()},
        "shm_size": build.shm_size or 0,
        "ulimits": {name: [limit.soft, limit.hard] for name, limit in build.ulimits.items()},
        "additional_contexts": {name: _context(stack, text) for name, text in build.additional_contexts.items()},
        "secrets": _secrets(stack, build, environment),
        "ssh": _agents(build, environment),
        "entitlements": [*build.entitlements, *insecure],
        "platforms": list(build.platforms) or [name for name in (stack.services[service_name].platform,) if name],
        "cache_from": list(build.cache_from),
        "cache_to": list(build.cache_to),
        "environment": relevant(environment),
        "keep_failed": environment.get(KEEP_FAILED, ""),
        "service": service_name,
        "quiet": bool(environment.get(QUIET)),
        "attestations": [name for name in ("provenance", "sbom") if getattr(build, name) not in (None, "false")],
    }


def _context(stack: Stack, text: str) -> str:
    """``service:NAME`` is that service's image."""
    if not text.startswith(_SERVICE):
        return text
    name = text.removeprefix(_SERVICE)
    if name not in stack.services:
        raise StackFileError(f"cannot use context {text}: there is no such service", about=".build.additional_contexts")
    return f"docker-image://{service_image(stack, name)}"


def _secrets(stack: Stack, build: Build, environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """By id, which is the target where one is given. One whose variable is not set is not there."""
    found = {}
    for grant in build.secrets:
        secret, name = stack.secrets[grant.source], grant.target or grant.source
        if secret.file:
            found[name] = {"file": secret.file}
        elif secret.content is not None:
            found[name] = {"content": secret.content}
        elif secret.environment and secret.environment in environment:
            found[name] = {"content": environment[secret.environment]}
    return found


def _agents(build: Build, environment: Mapping[str, str]) -> dict[str, list[str]]:
    """By id: the user's agent where no path is given, else a socket or keys, separated by commas."""
    found = {}
    for key in build.ssh:
        path = key.path or environment.get(_AGENT, "")
        if not path:
            raise StackFileError(
                f"cannot use ssh: {key.id}: {_AGENT} is not set", hint="start an ssh agent, or name a key: id=PATH",
                about=".build.ssh",
            )  # fmt: skip
        found[key.id] = path.split(",")
    return found
