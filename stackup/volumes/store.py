"""The volume store: ``volumes/<name>/`` holds ``volume.json`` and ``_data``, the volume's content.

A volume exists from the moment its directory is renamed into place until it is renamed away, so that a killed process
never leaves half of one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stackup.base.clock import now_ns, rfc3339
from stackup.base.errors import ContainerFault, StackFileError
from stackup.base.files import locked, sync_directory, write_atomic
from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.base.workroom import Workroom, delete

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
_RECORD = "volume.json"
_DATA = "_data"
ANONYMOUS_LABEL = "com.docker.volume.anonymous"

_NOTHING: Mapping[str, str] = MappingProxyType({})


@frozen
class VolumeMount:
    """What ``mount`` is to be told: ``kind`` "bind" with a directory, or a file system type with its device."""

    kind: str
    source: str
    options: tuple[str, ...] = ()


@frozen
class Volume:
    """``key`` and ``project``: what it is called in which stack file, empty for volumes made outside of one.

    ``options`` are those of Docker's local driver: type, device and o. ``created`` is RFC 3339.
    """

    name: str
    directory: Path
    project: str = ""
    key: str = ""
    config_hash: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    options: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    created: str = ""
    anonymous: bool = False

    @property
    def data(self) -> Path:
        return self.directory / _DATA

    @property
    def mount(self) -> VolumeMount:
        """Docker's local driver: ``o: bind`` shows a host directory, a ``type`` mounts that file system."""
        flags = tuple(flag for flag in self.options.get("o", "").split(",") if flag)
        device, kind = self.options.get("device", ""), self.options.get("type", "")
        if device and ("bind" in flags or "rbind" in flags):
            return VolumeMount("bind", device, tuple(flag for flag in flags if flag not in ("bind", "rbind")))
        if kind and kind != "none":
            return VolumeMount(kind, device or kind, flags)
        return VolumeMount("bind", str(self.data))


class VolumeStore:
    """Safe among processes: one short lock per change."""

    def __init__(self, layout: Layout) -> None:
        self.root = layout.volumes
        self._layout = layout
        self._workroom = Workroom(self.root / ".work")

    def _path(self, name: str) -> Path:
        if not _NAME.match(name) or len(name) > 255:
            raise StackFileError(
                f"cannot use volume name '{name}': only letters, digits and _ . - are allowed, a letter or digit first"
            )
        return self.root / name

    def get(self, name: str) -> Volume | None:
        path = self._path(name)
        try:
            return _from_record(path, json.loads((path / _RECORD).read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise ContainerFault(
                f"cannot read the record of volume '{name}': {error}", step="volume", path=str(path / _RECORD)
            ) from None

    def exists(self, name: str) -> bool:
        return (self._path(name) / _RECORD).is_file()

    def create(
        self,
        name: str,
        *,
        project: str = "",
        key: str = "",
        config_hash: str = "",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> Volume:
        """Makes the volume, empty, unless it exists; then answers what exists, unchanged, with a directory."""
        path = self._path(name)
        found = self.get(name)
        if found:
            found.data.mkdir(mode=0o755, exist_ok=True)  # somebody may have deleted it
            return found
        volume = Volume(
            name, path, project, key, config_hash, dict(labels or {}), dict(options or {}), rfc3339(now_ns()), anonymous
        )
        self._layout.claim()
        self.root.mkdir(exist_ok=True)
        os.chmod(self.root, 0o700)
        with locked(self.root / ".lock"), self._workroom.directory() as temporary:
            found = self.get(name)
            if found:
                return found
            os.chmod(temporary, 0o755)
            (temporary / _DATA).mkdir(mode=0o755)
            os.chmod(temporary / _DATA, 0o755)
            write_atomic(temporary / _RECORD, json.dumps(_to_record(volume), indent=1), durable=True)
            os.rename(temporary, path)
            sync_directory(self.root)
        return volume

    def create_anonymous(self, *, project: str = "", labels: Mapping[str, str] | None = None) -> Volume:
        return self.create(
            os.urandom(32).hex(), project=project, labels={**(labels or {}), ANONYMOUS_LABEL: ""}, anonymous=True
        )

    def fill(self, name: str, copy: Callable[[Path], object]) -> bool:
        """Lets ``copy`` put the image's content into the volume if that is still empty: a volume's first use.

        ``copy`` is handed the volume's directory (in place: another container may have it mounted already); when it
        raises, or the process dies, the volume counts as empty again. False when there was something in it already,
        or it is not a directory of the store's.
        """
        volume = self.get(name)
        if volume is None or volume.mount.source != str(volume.data):
            return False
        begun = volume.directory / ".filling"
        with locked(self.root / ".lock"):
            if not begun.exists() and any(os.scandir(volume.data)):
                return False
            _clear(volume.data)
            begun.touch()
            try:
                copy(volume.data)
            except BaseException:
                _clear(volume.data)
                raise
            finally:
                begun.unlink()
        return True

    def list(self, project: str | None = None) -> tuple[Volume, ...]:
        """All volumes (of one project), by name."""
        if not self.root.is_dir():
            return ()
        found = (self.get(name) for name in sorted(os.listdir(self.root)) if not name.startswith("."))
        return tuple(volume for volume in found if volume and (project is None or volume.project == project))

    def remove(self, name: str) -> bool:
        """Deletes the volume and its content; False when there was none. The caller knows whether it is in use."""
        path = self._path(name)
        with self._workroom.directory() as grave:
            try:
                with locked(self.root / ".lock"):
                    os.rename(path, grave / "volume")
            except FileNotFoundError:
                return False
        return True

    def sweep(self) -> int:
        """Collects what killed processes left; answers how many things."""
        return self._workroom.sweep()


def _to_record(volume: Volume) -> dict[str, Any]:
    names = ("name", "project", "key", "config_hash", "created", "anonymous")
    record = {name: getattr(volume, name) for name in names}
    return {**record, "labels": dict(volume.labels), "options": dict(volume.options)}


def _from_record(path: Path, record: dict[str, Any]) -> Volume:
    return Volume(directory=path, **record)


def _clear(directory: Path) -> None:
    for name in os.listdir(directory):
        delete(directory / name)
