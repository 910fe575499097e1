"""``build --print``: what is built, as buildx's bake writes it (docs.docker.com/build/bake/reference, in JSON)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackup.build.request import BuildRequest


def bake_file(
    requests: Mapping[str, BuildRequest], variables: Mapping[str, str], *, push: bool = False
) -> dict[str, Any]:
    """``requests`` by the service's name. ``variables``: those that secrets come from, by the secret's id."""
    return {
        "group": {"default": {"targets": list(requests)}},
        "target": {name: _target(request, variables, push=push) for name, request in requests.items()},
    }


def _target(request: BuildRequest, variables: Mapping[str, str], *, push: bool) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "context": request.context,
        "dockerfile": request.dockerfile or ("" if request.inline else "Dockerfile"),
        "dockerfile-inline": request.inline,
        "args": dict(request.args),
        "labels": dict(request.labels),
        "tags": list(request.tags),
        "target": request.target,
        "contexts": dict(request.additional_contexts),
        "cache-from": list(request.cache_from),
        "cache-to": list(request.cache_to),
        "no-cache": request.no_cache,
        "no-cache-filter": list(request.no_cache_filter),
        "pull": request.pull,
        "network": request.network,
        "platforms": list(request.platforms),
        "secret": [_secret(name, secret.file, variables.get(name, name)) for name, secret in request.secrets.items()],
        "ssh": [f"{name}={','.join(paths)}" for name, paths in request.ssh.items()],
        "entitlements": list(request.entitlements),
        "extra-hosts": {name: ",".join(addresses) for name, addresses in request.extra_hosts.items()},
        "shm-size": str(request.shm_size) if request.shm_size else "",
        "ulimits": [f"{name}={soft}:{hard}" for name, (soft, hard) in request.ulimits.items()],
        "output": ["type=image,push=true" if push else "type=docker"],
    }
    return {key: value for key, value in attributes.items() if value}


def _secret(name: str, file: str, variable: str) -> str:
    """What a secret holds is not printed: one without a file is one of the environment for bake."""
    return f"id={name},type=file,src={file}" if file else f"id={name},type=env,env={variable}"
