"""Secrets and configs as files of one container: private copies with the owner and mode that the service asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from stackup.base.errors import ContainerFault, StackFileError
from stackup.images.lookup import resolve_user
from stackup.linux.overlay import Overlay
from stackup.model.stack import Config, Secret, Service, Stack
from stackup.spec import grants
from stackup.spec.context import Grant


def write_grants(
    stack: Stack, service: Service, directory: Path, overlays: tuple[Overlay, ...], environment: Mapping[str, str]
) -> dict[str, str]:
    """Target in the container -> file below ``directory``. Raises StackFileError when a source is missing."""
    found = {}
    for number, grant in enumerate(grants(service)):
        source = (stack.secrets if grant.kind == "secret" else stack.configs)[grant.source]
        content = content_of(grant, source, environment)
        path = directory / f"{grant.kind}-{number}"
        _write(path, content, grant, overlays)
        found[grant.target] = str(path)
    return found


def content_of(grant: Grant, source: Secret | Config, environment: Mapping[str, str]) -> bytes:
    """Raises StackFileError, with the place at fault, where there is none."""
    what, about = f"cannot give {grant.kind} {grant.source}", f"{grant.kind}s.{grant.source}"
    if source.content is not None:
        return source.content.encode("utf-8", "surrogateescape")
    if source.environment:
        value = environment.get(source.environment)
        if value is None:
            raise StackFileError(f"{what}: the variable {source.environment} is not set", about=f"{about}.environment")
        return value.encode("utf-8", "surrogateescape")
    if source.file:
        try:
            return Path(source.file).read_bytes()
        except OSError as error:
            raise StackFileError(f"{what}: {source.file}: {error.strerror}", about=f"{about}.file") from error
    raise StackFileError(
        f"{what}: it is external, and there is no store of external {grant.kind}s here", about=f"{about}.external"
    )


def _write(path: Path, content: bytes, grant: Grant, overlays: tuple[Overlay, ...]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
    try:
        owner = resolve_user(overlays, f"{grant.uid}:{grant.gid}")
    except ContainerFault as error:
        error.about = f".{grant.kind}s"
        raise
    os.chown(path, owner.uid, owner.gid)
    path.chmod(grant.mode)
