"""Volumes as ``volume ls`` and ``volume inspect`` show them, with docker's keys."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from stackup.base.errors import NotFound, StackFileError
from stackup.base.names import LABEL_PREFIX
from stackup.cli.things import label_text

if TYPE_CHECKING:
    from stackup.cli.session import Session
    from stackup.volumes.store import Volume

DRIVER, SCOPE = "local", "local"


def find(session: Session, name: str) -> Volume:
    """Raises NotFound."""
    from stackup.volumes.store import VolumeStore

    volume = None
    with suppress(StackFileError):  # no volume can have that name
        volume = VolumeStore(session.layout).get(name)
    if volume is None:
        raise NotFound(f"cannot find volume {name}: there is no such volume", hint="stackup volume ls")
    return volume


def labels_of(volume: Volume) -> dict[str, str]:
    own = {f"{LABEL_PREFIX}.project": volume.project, f"{LABEL_PREFIX}.volume": volume.key}
    anonymous = {"com.docker.volume.anonymous": ""} if volume.anonymous else {}
    return {**volume.labels, **anonymous, **{key: text for key, text in own.items() if text}}


def brief(volume: Volume) -> dict[str, Any]:
    """A row of ``ls --format json``."""
    return {
        "Availability": "N/A",
        "Driver": DRIVER,
        "Group": "N/A",
        "Labels": label_text(labels_of(volume)),
        "Links": "N/A",
        "Mountpoint": str(volume.data),
        "Name": volume.name,
        "Scope": SCOPE,
        "Size": "N/A",
        "Status": "N/A",
    }


def whole(volume: Volume) -> dict[str, Any]:
    """An entry of ``inspect``."""
    return {
        "CreatedAt": volume.created,
        "Driver": DRIVER,
        "Labels": labels_of(volume),
        "Mountpoint": str(volume.data),
        "Name": volume.name,
        "Options": dict(volume.options),
        "Scope": SCOPE,
    }
