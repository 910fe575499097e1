"""The stored stand-ins, served; and the registries.conf that makes them the mirror of docker.io."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.debianregistry import debian_registry

MARK = "complete"  # a file in the storage directory, written last: what the images were made from


def stored(directory: Path) -> bool:
    """Whether the images have been made in ``directory``."""
    return (directory / MARK).is_file()


@dataclass(frozen=True)
class Mirror:
    """``host``: where it listens, ``127.0.0.1:PORT``. ``settings``: a registries.conf that names it as a mirror."""

    host: str
    settings: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find docker.io's images here."""
        return {"CONTAINERS_REGISTRIES_CONF": str(self.settings)}


@contextmanager
def serving(directory: Path, port: int = 0) -> Iterator[Mirror]:
    """Serves ``directory`` on ``port`` of 127.0.0.1 (0: a free one) until the block ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with debian_registry(directory, port=port) as server:
        settings = directory / f"registries-{server.host.rpartition(':')[2]}.conf"
        settings.write_text(
            '[[registry]]\nlocation = "docker.io"\n\n'
            f'[[registry.mirror]]\nlocation = "{server.host}"\ninsecure = true\n'
        )
        try:
            yield Mirror(server.host, settings)
        finally:
            settings.unlink()
