"""What of a container's directories somebody has deleted. Reads only, and no more than whether they are there."""

from __future__ import annotations

import os

from stackup.base.paths import ContainerPaths, Layout
from stackup.engine.records import Definition
from stackup.runtime.bundle import CONFIG

TEMPLATE = "template.json"  # of config.json, where every start has to complete it
REMEDY = "stackup up -d makes the container anew"


def has_bundle(paths: ContainerPaths) -> bool:
    """False also when the container's creation was cut short."""
    return os.path.exists(paths.state / CONFIG) or os.path.exists(paths.state / TEMPLATE)


def lost_volumes(layout: Layout, definition: Definition) -> list[str]:
    """Names of volumes without a directory."""
    names = dict.fromkeys(definition.volumes.values())
    return [name for name in names if not os.path.isdir(layout.volumes / name / "_data")]


def damage(layout: Layout, paths: ContainerPaths, definition: Definition) -> str:
    """Why a container must be made anew; "" when everything is there."""
    if not has_bundle(paths):
        return "its state directory was deleted"
    volumes = lost_volumes(layout, definition)
    return f"the directory of volume {', '.join(volumes)} was deleted" if volumes else ""
