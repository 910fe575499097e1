"""What RUN wants to have run. Apart from ``sandbox``, whose imports cost more than a build that is fully cached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stackup.build.mounts import RunMount
from stackup.linux.overlay import Overlay

OnLine = Callable[[str, str], None]  # stream, line


@dataclass(frozen=True, slots=True)
class Command:
    """``user``: as in an image's configuration. ``network``: "default", "host" or "none"."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    user: str = ""
    working_dir: str = "/"
    network: str = "default"
    extra_hosts: Mapping[str, tuple[str, ...]] | None = None
    shm_size: int = 0
    mounts: tuple[RunMount, ...] = ()


RunCommand = Callable[[tuple[Overlay, ...], Command, OnLine], int]  # answers the exit code
