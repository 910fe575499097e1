"""Docker's default seccomp profile as a compiled filter, cached on disk."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from stackup.base.paths import Layout


def compiled_filter(layout: Layout, caps: Collection[str], profile: Path | None = None) -> Path:
    """Path of the filter for a container with the bounding set ``caps``; compiles it when it is not in the cache."""
    raise NotImplementedError
