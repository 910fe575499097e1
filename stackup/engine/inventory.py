"""What all projects of a state root have, from their records alone: who uses which network and which volume.

Standard library only; the command line reads it for ``network``, ``volume`` and ``down --all``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import field
from typing import Any

from stackup.base.names import LABEL_PREFIX
from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.engine.records import ContainerRecord
from stackup.engine.status import open_records, unreadable


@frozen
class Project:
    """``networks`` as recorded, by key: ``state``, ``config``, ``external``."""

    name: str
    containers: tuple[ContainerRecord, ...] = ()
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def users(self, uses: Callable[[ContainerRecord], bool]) -> list[tuple[str, ContainerRecord]]:
        return [(self.name, item) for item in self.containers if uses(item)]


@frozen
class NetworkView:
    """``project`` is empty for one that belongs to none; ``state`` where it has never been made."""

    name: str
    project: str
    created: str
    config: Mapping[str, Any]
    state: Mapping[str, Any]
    labels: Mapping[str, str]


def project_names(layout: Layout) -> list[str]:
    """Of all projects that have anything on disk."""
    found = set()
    for paths in (layout.project("x").state.parent, layout.project("x").run.parent):
        with suppress(FileNotFoundError, NotADirectoryError):
            found |= {entry.name for entry in paths.iterdir() if entry.is_dir()}
    return sorted(found)


def read_project(layout: Layout, name: str) -> Project:
    """Empty where nothing was recorded. Raises HostUnfit for records that cannot be read."""
    records = open_records(layout, name)
    if records is None:
        return Project(name)
    try:
        return Project(name, tuple(records.containers()), records.networks())
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        raise unreadable(layout, name, error) from error
    finally:
        records.close()


class Inventory:
    """A snapshot of all projects. Raises HostUnfit where the records of one cannot be read."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.projects = tuple(read_project(layout, name) for name in project_names(layout))

    def networks(self) -> list[NetworkView]:
        """Those of projects and those that belong to none, by name."""
        from stackup.network.standalone import StandaloneRecords

        found = [
            NetworkView(item.name, "", item.created, item.config, item.state or {}, item.labels)
            for item in StandaloneRecords(self._layout).list()
        ]
        for project in self.projects:
            found += [_of_project(project.name, key, data) for key, data in project.networks.items()
                      if not data["external"]]  # fmt: skip
        return sorted(found, key=lambda item: item.name)

    def users_of_network(self, name: str) -> list[tuple[str, ContainerRecord]]:
        """Containers that are, or will be at their next start, in the network of that name, with their projects."""
        return self._users(lambda item: any(place.name == name for place in item.definition.endpoints))

    def users_of_volume(self, name: str) -> list[tuple[str, ContainerRecord]]:
        return self._users(lambda item: name in item.definition.volumes.values())

    def _users(self, uses: Callable[[ContainerRecord], bool]) -> list[tuple[str, ContainerRecord]]:
        return [found for project in self.projects for found in project.users(uses)]


def _of_project(project: str, key: str, data: Mapping[str, Any]) -> NetworkView:
    own = {f"{LABEL_PREFIX}.network": key, f"{LABEL_PREFIX}.project": project}
    labels = {**data["config"].get("labels", {}), **own}
    return NetworkView(data["state"]["name"], project, "", data["config"], data["state"], labels)
