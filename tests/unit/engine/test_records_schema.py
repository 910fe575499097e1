"""Records of other versions: made what this one reads, or refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from stackup.base.errors import HostUnfit
from stackup.engine.records import Records
from stackup.engine.schema import MIGRATIONS, SCHEMA_VERSION, bring_up_to_date


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Records(tmp_path / "records.db").close()
    return tmp_path / "records.db"


def doctored(path: Path, number: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(number),))
    connection.commit()
    connection.close()


def schema_of(path: Path) -> str:
    connection = sqlite3.connect(path)
    (found,) = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    connection.close()
    return str(found)


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize(
    ("number", "says", "hint"),
    [
        (SCHEMA_VERSION + 1, "written by a newer stackup", "upgrade stackup"),
        (min(MIGRATIONS, default=SCHEMA_VERSION) - 1, "written by an older stackup", "version that wrote it"),
    ],
)
def test_what_cannot_be_read_is_refused_and_left_alone(
    path: Path, number: int, says: str, hint: str, readonly: bool
) -> None:
    doctored(path, number)
    with pytest.raises(HostUnfit, match=rf"{says} \(schema {number}, this one knows") as caught:
        Records(path, readonly=readonly)
    assert hint in (caught.value.hint or "")
    assert schema_of(path) == str(number)


def test_steps_from_every_older_version_that_is_known_are_complete() -> None:
    assert sorted(MIGRATIONS) == list(range(SCHEMA_VERSION - len(MIGRATIONS), SCHEMA_VERSION))


def one(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO meta VALUES ('steps', '1')")


def two(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE meta SET value = value || '2' WHERE key = 'steps'")


def broken(connection: sqlite3.Connection) -> None:
    raise sqlite3.OperationalError("no such table")


def steps(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE key = 'steps'").fetchone()
    return row[0] if row else None


def test_older_ones_go_through_each_version(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    assert steps(bring_up_to_date(connection, path, readonly=False, version=3, migrations={1: one, 2: two})) == "12"
    connection.close()
    assert schema_of(path) == "3"


def test_who_may_only_read_gets_a_copy(path: Path) -> None:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    copy = bring_up_to_date(connection, path, readonly=True, version=3, migrations={1: one, 2: two})
    assert steps(copy) == "12"
    assert schema_of(path) == "1"


def test_a_step_that_fails_leaves_all_as_it_was(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        bring_up_to_date(connection, path, readonly=False, version=3, migrations={1: one, 2: broken})
    assert steps(connection) is None
    connection.close()
    assert schema_of(path) == "1"
