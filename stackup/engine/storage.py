"""Volumes of one container: which there are, where they come from, and their content at the first use."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackup.base.errors import ContainerFault
from stackup.engine.records import Definition
from stackup.engine.world import World
from stackup.images.copyout import copy_out
from stackup.images.store import ImageStore
from stackup.linux.overlay import Overlay
from stackup.model.stack import Mount, Service, Stack
from stackup.oci.image import ImageConfig
from stackup.oci.runtime import Mount as OciMount
from stackup.spec import InheritedMount
from stackup.volumes.store import VolumeMount, VolumeStore


@dataclass(slots=True)
class PlannedVolume:
    """``source`` and ``mount`` are filled in by ``make``."""

    target: str
    name: str
    anonymous: bool
    copy: bool = True
    source: str = ""
    mount: VolumeMount | None = field(default=None)

    def make(self, store: VolumeStore, images: ImageStore, overlays: tuple[Overlay, ...], *, project: str) -> None:
        """The volume exists after this, with the image's content where it was empty (Docker's rule)."""
        if self.anonymous:
            store.create(self.name, project=project, anonymous=True)
        volume = store.get(self.name)
        if volume is None:
            raise ContainerFault(f"cannot mount volume {self.name}: it does not exist")
        self.mount = volume.mount
        self.source = volume.mount.source
        if self.copy:
            store.fill(self.name, lambda directory: copy_out(overlays, self.target, directory))


def plan_volumes(stack: Stack, service: Service, image: ImageConfig, inherit: Definition | None) -> list[PlannedVolume]:
    """Named and anonymous volumes of the file, and those that the image declares and the file does not cover.

    Anonymous ones are taken over, by target, from the container that is replaced.
    """
    before = inherit.volumes if inherit else {}
    kept = set(inherit.anonymous_volumes) if inherit else set()

    def anonymous(target: str, *, copy: bool = True) -> PlannedVolume:
        name = before.get(target, "")
        return PlannedVolume(target, name if name in kept else os.urandom(32).hex(), True, copy)

    found = [_of_file(stack, mount, anonymous) for mount in service.volumes if mount.type == "volume"]
    covered = {posixpath.normpath(mount.target or "/") for mount in service.volumes}
    covered |= {posixpath.normpath(item.partition(":")[0]) for item in service.tmpfs}
    declared = (posixpath.normpath(target) for target in image.volumes)
    return found + [anonymous(target) for target in declared if target not in covered]


def _of_file(stack: Stack, mount: Mount, anonymous: Any) -> PlannedVolume:
    target = posixpath.normpath(mount.target or "/")
    copy = not (mount.volume and mount.volume.nocopy)
    if not mount.source:
        planned: PlannedVolume = anonymous(target, copy=copy)
        return planned
    return PlannedVolume(target, stack.volumes[mount.source].name, False, copy)


def special_mounts(volumes: list[PlannedVolume]) -> dict[str, OciMount]:
    """By target: volumes of the local driver that are not directories, e.g. ``type: tmpfs`` or ``type: nfs``."""
    return {
        volume.target: OciMount(volume.target, volume.mount.kind, volume.mount.source, volume.mount.options)
        for volume in volumes
        if volume.mount is not None and volume.mount.kind != "bind"
    }


def inherited_mounts(world: World, service: Service) -> tuple[InheritedMount, ...]:
    """``volumes_from``: the volumes and binds of another container, read-only with ``:ro``."""
    found = []
    for text in service.volumes_from:
        name, _, mode = text.removeprefix("container:").partition(":")
        owners = [world.by_name(name)] if text.startswith("container:") else world.of_service(name)
        owner = next((item for item in owners if item is not None), None)
        if owner is None:
            raise ContainerFault(
                f"cannot mount volumes_from {text} in service {service.name}: no such container", about=".volumes_from"
            )
        read_only = mode == "ro"
        for target, volume in owner.definition.volumes.items():
            stored = world.volumes.get(volume)
            if stored is not None:
                found.append(InheritedMount(target, stored.mount.source, read_only))
        for item in owner.definition.config.get("volumes", ()):
            if item.get("type") == "bind":
                found.append(InheritedMount(item["target"], item["source"], read_only or item.get("read_only", False)))
    return tuple(found)


def make_bind_sources(service: Service) -> None:
    """``create_host_path``: directories that Docker would make, too. Missing ones without it are a clear error."""
    for mount in service.volumes:
        if mount.type != "bind" or not mount.source or Path(mount.source).exists():
            continue
        if mount.bind is None or not mount.bind.create_host_path:
            raise ContainerFault(
                f"cannot mount {mount.source} in service {service.name}: it does not exist", path=mount.source
            )
        Path(mount.source).mkdir(parents=True, exist_ok=True)
