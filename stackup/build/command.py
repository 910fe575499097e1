"""What RUN wants to have run. Apart from ``sandbox``, whose imports cost more than a build that is fully cached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from stackup.base.values import frozen
from stackup.linux.overlay import Overlay

OnLines = Callable[[str, Sequence[str]], None]  # stream, lines


@frozen
class RunMount:
    """``kind``, ``source`` and ``options`` as mount(8) writes them."""

    target: str
    kind: str
    source: str
    options: tuple[str, ...]


@frozen
class Command:
    """``user``: as in an image's configuration. ``network``: "default", "host" or "none". ``privileged``: as for a
    service. ``ulimits``: name to soft and hard limit."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    user: str = ""
    working_dir: str = "/"
    network: str = "default"
    extra_hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shm_size: int = 0
    mounts: tuple[RunMount, ...] = ()
    privileged: bool = False
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    secret: frozenset[str] = frozenset()  # names in ``environment`` that must not be written down


RunCommand = Callable[[tuple[Overlay, ...], Command, OnLines], int]  # answers the exit code
