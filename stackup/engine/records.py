"""Truth on disk: one SQLite file per project. The intent is written before the effect and settled after it.

WAL with synchronous=NORMAL: what was committed survives kill -9 of everything. Standard library only: the CLI reads
the records itself when no supervisor runs.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

from stackup.base.errors import HostUnfit
from stackup.base.values import as_mapping, frozen
from stackup.engine.schema import bring_up_to_date
from stackup.engine.supervision import Supervision

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS containers (id TEXT PRIMARY KEY, definition TEXT NOT NULL, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS networks (key TEXT PRIMARY KEY, data TEXT NOT NULL);
"""


@frozen
class EndpointRecord:
    """A container's place in one network. ``network`` is the key in the stack file, ``name`` the full name.

    ``wanted`` is ``network.types.Wanted`` as a dictionary: what the stack file asks for.
    """

    network: str
    network_id: str
    name: str = ""
    wanted: dict[str, Any] = field(default_factory=dict)


@frozen
class PortRecord:
    """A published port. ``host_port`` is text: "" (a free one), "8080" or "8000-8010"; one number once it is bound."""

    container_port: int
    host_port: str = ""
    protocol: str = "tcp"
    host_ip: str = ""


@frozen
class Naming:
    """How a container finds others, and is called itself, beyond the names every container has."""

    domainname: str = ""
    extra_hosts: dict[str, list[str]] = field(default_factory=dict)
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)  # name of its own -> name in the stack


@frozen
class Definition:
    """What a container is: fixed at its creation. Enough to start and watch it again without the stack file.

    ``config`` is the canonical service configuration it was made from; ``namespaces_of`` maps a namespace kind to
    the id of the container whose namespace it shares; ``overlays`` are ``linux.overlay.Overlay`` as dictionaries.
    """

    id: str
    name: str
    service: str
    number: int
    created_ns: int
    config_hash: str
    config: dict[str, Any]
    image: str
    image_id: str
    command: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    supervision: Supervision = field(default_factory=Supervision)
    overlays: tuple[dict[str, Any], ...] = ()
    endpoints: tuple[EndpointRecord, ...] = ()
    ports: tuple[PortRecord, ...] = ()
    volumes: dict[str, str] = field(default_factory=dict)
    anonymous_volumes: tuple[str, ...] = ()
    namespaces_of: dict[str, str] = field(default_factory=dict)
    cgroup: str = ""
    seccomp_filter: str = ""
    network_mode: str = ""
    hostname: str = ""
    tty: bool = False
    stdin_open: bool = False
    init: bool = False
    inherits: bool = False  # its anonymous volumes were another container's before
    parent: str = ""  # id of the container that this one prepares (pre_start) ...
    step: int = 0  # ... in which place, from 0
    per_replica: bool = False  # that step is run for each container of the service, not once for all
    naming: Naming = field(default_factory=Naming)

    def to_json(self) -> str:
        data = as_mapping(self)
        data["supervision"] = self.supervision.to_dict()
        data["endpoints"] = [as_mapping(item) for item in self.endpoints]
        data["ports"] = [as_mapping(item) for item in self.ports]
        data["naming"] = as_mapping(self.naming)
        return json.dumps(data, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Definition:
        data = json.loads(text)
        data["supervision"] = Supervision.from_dict(data["supervision"])
        data["endpoints"] = tuple(EndpointRecord(**item) for item in data["endpoints"])
        data["ports"] = tuple(PortRecord(**item) for item in data["ports"])
        data["overlays"] = tuple(data["overlays"])
        data["anonymous_volumes"] = tuple(data["anonymous_volumes"])
        naming = data["naming"]
        lists = {name: tuple(naming.get(name, ())) for name in ("dns", "dns_search", "dns_options")}
        data["naming"] = Naming(**{**naming, **lists})
        return cls(**data)


@frozen
class State:
    """How a container is. ``phase`` and ``health`` hold values of ``model.observed.Phase`` and ``Health``.

    Times are nanoseconds since the epoch; ``start_time`` is field 22 of /proc/PID/stat, in clock ticks since boot.
    A pid counts only together with its start time and boot id. ``incarnation`` counts starts.
    """

    phase: str
    incarnation: int = 0
    pid: int = 0
    start_time: int = 0
    boot_id: str = ""
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int | None = None
    exit_unknown: bool = False
    oom_killed: bool = False
    restarts: int = 0
    attempts: int = 0
    restart_delay: float = 0.0
    restart_at_ns: int = 0
    stopped_by_user: bool = False
    health: str = "none"
    health_output: str = ""  # of the last probe that found something else than the one before it
    health_code: int | None = None  # its exit code; negative: it did not come to an end of its own
    host_ports: tuple[PortRecord, ...] = ()
    attachments: tuple[dict[str, Any], ...] = ()  # network.types.Attachment as dictionaries
    error: str = ""
    updating: bool = False  # an update in place was begun and not finished
    due_ns: int = 0  # for which its schedule started it, or will start it next
    runs: tuple[dict[str, Any], ...] = ()  # of a schedule, the last ones: at_ns (start), seconds, code (None: unknown)
    prepared: int = 0  # steps of pre_start that have been done
    post_start_due: bool = False  # the hooks of the incarnation that runs have not been run to their end
    unprepared: str = ""  # which hook of the incarnation that runs has failed, and how
    returns: bool = False  # it is stopped, or was, to be started again by the same command (``restart``)
    trial_for: str = ""  # id of the container that it is to replace, until its rolling update has found it good

    def to_json(self) -> str:
        data = as_mapping(self)
        data["host_ports"] = [as_mapping(port) for port in self.host_ports]
        return json.dumps(data, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> State:
        data = json.loads(text)
        data["host_ports"] = tuple(PortRecord(**item) for item in data["host_ports"])
        data["attachments"] = tuple(data["attachments"])
        data["runs"] = tuple(data.get("runs", ()))
        return cls(**data)


@frozen
class ContainerRecord:
    definition: Definition
    state: State


class Records:
    """The project's database. One writer (the supervisor); readers open it with ``readonly``.

    What could not be written because the disk was full is ``owed``: kept, and written as soon as that is possible.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self.owed: dict[str, State | None] = {}  # by container id; None: its removal
        if readonly:
            # With a journal it is read beside its writer; without one nobody writes, and SQLite is to make no files.
            mode = "mode=ro" if os.path.lexists(f"{path}-wal") else "mode=ro&immutable=1"
            self.connection = sqlite3.connect(f"file:{path}?{mode}", uri=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
            self.connection = sqlite3.connect(path, isolation_level=None)
            self.connection.execute("PRAGMA journal_mode=WAL")
            self.connection.execute("PRAGMA synchronous=NORMAL")
            self.connection.executescript(_SCHEMA)
        self.connection = bring_up_to_date(self.connection, path, readonly=readonly)

    def close(self) -> None:
        self.connection.close()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """All writes of the block reach the disk together, or none of them."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def meta(self, key: str) -> str | None:
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set_meta(self, key: str, value: str) -> None:
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def containers(self) -> list[ContainerRecord]:
        """In the order of their creation."""
        rows = self.connection.execute("SELECT definition, state FROM containers ORDER BY rowid").fetchall()
        return [ContainerRecord(Definition.from_json(row[0]), State.from_json(row[1])) for row in rows]

    def add_container(self, definition: Definition, state: State) -> None:
        self._write("INSERT INTO containers VALUES (?, ?, ?)", (definition.id, definition.to_json(), state.to_json()))

    def set_state(self, container_id: str, state: State) -> None:
        """For what is about to be done. Raises HostUnfit."""
        self._write("UPDATE containers SET state = ? WHERE id = ?", (state.to_json(), container_id))
        self.owed.pop(container_id, None)

    def redefine(self, definition: Definition, state: State) -> None:
        """Another definition and the state that goes with it, together or not at all. Raises HostUnfit."""
        values = (definition.to_json(), state.to_json(), definition.id)
        self._write("UPDATE containers SET definition = ?, state = ? WHERE id = ?", values)
        self.owed.pop(definition.id, None)

    def note_state(self, container_id: str, state: State) -> None:
        """For what has happened, whether it can be written or not."""
        self.owed[container_id] = state
        self.settle()

    def note_removal(self, container_id: str) -> None:
        self.owed[container_id] = None
        self.settle()

    def settle(self) -> bool:
        """Writes what is owed; True when nothing is any more."""
        try:
            for container_id, state in list(self.owed.items()):
                if state is None:
                    self._write("DELETE FROM containers WHERE id = ?", (container_id,))
                else:
                    self.set_state(container_id, state)
                self.owed.pop(container_id, None)
        except HostUnfit:
            return False
        return True

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        try:
            self.connection.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise HostUnfit(
                f"cannot write {self.path}: {error}", hint="free some space on that file system, or make it writable"
            ) from error

    def networks(self) -> dict[str, dict[str, Any]]:
        return self._mapping("SELECT key, data FROM networks")

    def put_network(self, key: str, data: dict[str, Any]) -> None:
        self._write("INSERT OR REPLACE INTO networks VALUES (?, ?)", (key, json.dumps(data)))

    def drop_network(self, key: str) -> None:
        self._write("DELETE FROM networks WHERE key = ?", (key,))

    def _mapping(self, query: str) -> dict[str, dict[str, Any]]:
        return {key: json.loads(data) for key, data in self.connection.execute(query).fetchall()}
