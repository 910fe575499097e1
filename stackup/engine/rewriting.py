"""Records whose file somebody has deleted under a running supervisor: written anew, from what it still has open."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

from stackup.engine.records import Records


def is_gone(records: Records) -> bool:
    """Nobody after us would find what we write."""
    return not os.path.lexists(records.path)


def write_anew(records: Records) -> None:
    """The same contents, in a file of that name. Raises OSError or sqlite3.Error."""
    path, made = str(records.path), f"{records.path}.new"
    os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
    with suppress(FileNotFoundError):
        os.unlink(made)
    copy = sqlite3.connect(made)
    try:
        records.connection.backup(copy)
    finally:
        copy.close()
    records.connection.close()  # before the new file is there: SQLite deletes a journal by its name
    for rest in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(path + rest)
    os.rename(made, path)
    records.connection = sqlite3.connect(path, isolation_level=None)
    records.connection.execute("PRAGMA journal_mode=WAL")
    records.connection.execute("PRAGMA synchronous=NORMAL")
