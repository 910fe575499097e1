"""``import`` and ``commit --change``: Dockerfile instructions that only touch an image's configuration, as docker has
them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from stackup.base.errors import StackFileError, UsageError

if TYPE_CHECKING:
    from stackup.oci.image import ImageConfig

INSTRUCTIONS = (
    "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip


def image_config(changes: Sequence[str], base: ImageConfig) -> ImageConfig:
    """``base`` with the instructions applied in order. Raises UsageError for one that is none of them."""
    for change in changes:
        base = _apply(change, base)
    return base


def _apply(change: str, config: ImageConfig) -> ImageConfig:
    instruction, _, rest = change.strip().partition(" ")
    rest = rest.strip()
    if not rest:
        raise UsageError(f"cannot apply {change!r}: it has no value")
    match instruction.upper():
        case "CMD":
            return replace(config, cmd=command(rest))
        case "ENTRYPOINT":
            return replace(config, entrypoint=command(rest))
        case "ENV":
            return replace(config, env=tuple(_merged(config.env, _pairs(change, rest))))
        case "LABEL":
            return replace(config, labels={**config.labels, **_pairs(change, rest)})
        case "EXPOSE":
            ports = (port if "/" in port else f"{port}/tcp" for port in rest.split())
            return replace(config, exposed_ports=(*config.exposed_ports, *ports))
        case "VOLUME":
            paths = command(rest) if rest.startswith("[") else tuple(rest.split())
            return replace(config, volumes=(*config.volumes, *paths))
        case "USER":
            return replace(config, user=rest)
        case "WORKDIR":
            return replace(config, working_dir=rest)
        case "STOPSIGNAL":
            return replace(config, stop_signal=rest)
        case "HEALTHCHECK" | "ONBUILD":
            return _as_in_a_build(change, config)
        case other:
            raise UsageError(
                f"cannot apply {change!r}: {other} cannot be changed", hint=f"what can: {', '.join(INSTRUCTIONS)}"
            )


def _as_in_a_build(change: str, config: ImageConfig) -> ImageConfig:
    """Of those that have a syntax of their own."""
    from stackup.build.dockerfile import parse_dockerfile
    from stackup.build.metadata import HANDLERS, Scope
    from stackup.build.state import State

    try:
        instructions = parse_dockerfile(f"FROM scratch\n{change.strip()}\n", "--change").instructions
    except StackFileError as error:
        raise UsageError(f"cannot apply {change!r}: {error.message}", hint=error.hint) from None
    state = State(config)
    for item in instructions:
        if item.keyword in ("HEALTHCHECK", "ONBUILD"):
            try:
                state = HANDLERS[item.keyword](state, item, Scope({}, {}))
            except ValueError as error:
                raise UsageError(f"cannot apply {change!r}: {error}") from None
    return state.config


def command(text: str) -> tuple[str, ...]:
    """The exec form (a JSON list) as it is, everything else through a shell."""
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return tuple(words)
    return ("/bin/sh", "-c", text)


def _pairs(change: str, text: str) -> dict[str, str]:
    """``A=1 B="two words"``, or the old form ``A value``."""
    words = shlex.split(text)
    if "=" not in words[0]:
        name, _, value = text.partition(" ")
        if not value:
            raise UsageError(f"cannot apply {change!r}: it has no value")
        return {name: value.strip()}
    if not all("=" in word for word in words):
        raise UsageError(f"cannot apply {change!r}: every word must be NAME=VALUE")
    return dict(word.split("=", 1) for word in words)


def _merged(env: Sequence[str], pairs: dict[str, str]) -> list[str]:
    kept = [item for item in env if item.partition("=")[0] not in pairs]
    return kept + [f"{name}={value}" for name, value in pairs.items()]
