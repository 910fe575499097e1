"""Versions of the records' schema: what an older stackup has written is made what this one reads, or refused clearly.

Who changes the schema raises ``SCHEMA_VERSION`` and adds to ``MIGRATIONS`` what makes the version before into it; a
field with a default (``records.State``, ``records.Definition``) needs neither. Standard library only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from stackup.base.errors import HostUnfit

SCHEMA_VERSION = 1
NEWER = "written by a newer stackup"
OLDER = "written by an older stackup"
Migration = Callable[[sqlite3.Connection], None]
MIGRATIONS: Mapping[int, Migration] = {}  # by version: what makes the next one of it; no commit, no schema number


def bring_up_to_date(
    connection: sqlite3.Connection,
    path: Path,
    *,
    readonly: bool,
    version: int = SCHEMA_VERSION,
    migrations: Mapping[int, Migration] = MIGRATIONS,
) -> sqlite3.Connection:
    """Answers a connection to records of ``version``. All steps reach the disk together, or none of them; who may only
    read gets a copy in memory. Raises HostUnfit for records that no step leads from."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    if row is None:
        if not readonly:
            _note(connection, version)
        return connection
    found = int(row[0])
    if found == version:
        return connection
    known = f"(schema {found}, this one knows {_known(version, migrations)})"
    if found > version:
        raise HostUnfit(f"cannot read {path}: {NEWER} {known}", hint="upgrade stackup")
    if any(step not in migrations for step in range(found, version)):
        raise HostUnfit(
            f"cannot read {path}: {OLDER} {known}",
            hint="run `stackup down` with the version that wrote it, then `stackup up` with this one",
        )
    if readonly:
        memory = sqlite3.connect(":memory:", isolation_level=None)
        connection.backup(memory)
        connection.close()
        connection = memory
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in range(found, version):
            migrations[step](connection)
        _note(connection, version)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return connection


def _note(connection: sqlite3.Connection, version: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?)", (str(version),))


def _known(version: int, migrations: Mapping[int, Migration]) -> str:
    oldest = version
    while oldest - 1 in migrations:
        oldest -= 1
    return f"{version}" if oldest == version else f"{oldest} to {version}"
