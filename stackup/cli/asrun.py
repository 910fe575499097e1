"""How a container is run: what its image says, and what its service says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackup.oci.image import ImageConfig


def as_run(image: ImageConfig, service: Mapping[str, Any]) -> ImageConfig:
    """The image's configuration with what the recorded ``service`` says otherwise, as docker shows a container's. A
    variable without a value is unset."""
    config = image
    if (entrypoint := service.get("entrypoint")) is not None:  # an empty one keeps the image's command
        config = replace(config, entrypoint=tuple(entrypoint), cmd=None if entrypoint else config.cmd)
    if service.get("command"):
        config = replace(config, cmd=tuple(service["command"]))
    given = service.get("environment") or {}
    kept = tuple(item for item in config.env if item.partition("=")[0] not in given)
    return replace(
        config,
        env=(*kept, *(f"{key}={text}" for key, text in given.items() if text is not None)),
        labels={**config.labels, **(service.get("labels") or {})},
        user=service.get("user") or config.user,
        working_dir=service.get("working_dir") or config.working_dir,
        stop_signal=service.get("stop_signal") or config.stop_signal,
    )
