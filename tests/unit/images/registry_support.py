"""A store, a caller and a registry that misbehaves, for the tests of transfers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackup.base.paths import Layout
from stackup.images import ImageStore
from stackup.images.pulling import Pulled, pull
from stackup.images.pushing import Pushed, push
from stackup.images.registry.access import Registries
from stackup.images.registry.caller import Caller
from stackup.images.registry.transport import Patience

PATIENCE = Patience(connect=5, read=5, pauses=(0.5, 1, 2))


class Client:
    """Pulls and pushes for a caller whose home and /etc are empty directories; never really sleeps."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.home = directory / "home"
        self.etc = directory / "etc"
        self.home.mkdir(exist_ok=True)
        self.environment = {"HOME": str(self.home), **environment}
        self.store = ImageStore(Layout.at(directory / "root"))
        self.slept: list[float] = []
        self.events: list[dict[str, Any]] = []
        self.patience = PATIENCE

    @property
    def caller(self) -> Caller:
        return Caller(self.environment, self.etc.parent)

    def registries(self) -> Registries:
        return Registries(self.caller, self.patience, self.slept.append)

    def pull(self, reference: str, *, platform: str = "") -> Pulled:
        registries = self.registries()
        try:
            return pull(self.store, reference, registries, self.events.append, platform=platform)
        finally:
            registries.close()

    def push(self, reference: str) -> Pushed:
        registries = self.registries()
        try:
            return push(self.store, reference, registries, self.events.append)
        finally:
            registries.close()

    def configure(self, document: Mapping[str, Any]) -> None:
        """Writes ~/.docker/config.json."""
        path = self.caller.docker_config
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))

    def settings(self, text: str) -> None:
        """Writes registries.conf."""
        path = self.home / "registries.conf"
        path.write_text(text)
        self.environment["CONTAINERS_REGISTRIES_CONF"] = str(path)

    def parts(self) -> list[Path]:
        directory = self.store.layout.images / ".parts"
        return sorted(path for path in directory.glob("*") if not path.suffix) if directory.is_dir() else []

    def leftovers(self) -> list[str]:
        """Work files and directories, of which there should be none."""
        layout = self.store.layout
        rooms = (layout.images / ".ingest", layout.layers / ".work")
        return [str(path) for room in rooms if room.is_dir() for path in room.iterdir() if path.name != ".gate"]

    def content(self, reference: str) -> set[str]:
        """Names of the files in the image's layers."""
        image = self.store.resolve(reference)
        assert image is not None
        return {path.name for layer in image.layers for path in layer.path.iterdir()}
