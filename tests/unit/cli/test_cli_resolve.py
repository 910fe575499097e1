"""Which project a command means, and when the note of the last reading may be trusted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cli_support import session

from stackup.base.errors import StackFileError, UsageError
from stackup.base.paths import Layout
from stackup.cli import resolve
from stackup.cli.session import Session

SERVICES = "services: {a: {image: x}}"


class Reader:
    """Counts how often the stack file is really read."""

    def __init__(self) -> None:
        self.calls = 0
        self.load = resolve._load

    def __call__(self, of: Session, **switches: bool) -> Any:
        self.calls += 1
        return self.load(of, **switches)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    write(directory, "name: shop")
    return directory


def write(directory: Path, head: str) -> None:
    (directory / "compose.yaml").write_text(f"{head}\n{SERVICES}\n")


@pytest.fixture
def reader(project: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """With ``peek`` out of the way: these tests are about the notes."""
    made = Reader()
    monkeypatch.setattr(resolve, "_load", made)
    monkeypatch.setattr(resolve.peek, "project_name", lambda *_: None)
    return made


def test_a_plain_file_is_not_read_at_all(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Reader()
    monkeypatch.setattr(resolve, "_load", made)
    assert name(project) == "shop"
    assert made.calls == 0


def name(project: Path, *, cwd: Path | None = None, **environment: str) -> str:
    of = session(Layout.at(project.parent / "root"), project="", cwd=cwd or project, environment=environment)
    return of.project


def test_a_name_that_was_given_needs_no_file(tmp_path: Path, reader: Reader) -> None:
    assert session(Layout.at(tmp_path), project="given").project == "given"
    assert name(tmp_path, COMPOSE_PROJECT_NAME="other") == "other"
    assert reader.calls == 0


@pytest.mark.parametrize("given", ["Shop", "-shop", "a.b", "ä"])
def test_a_bad_name_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(UsageError, match="cannot use project name"):
        _ = session(Layout.at(tmp_path), project=given).project


def test_the_second_command_does_not_read(project: Path, reader: Reader) -> None:
    assert [name(project), name(project)] == ["shop", "shop"]
    assert reader.calls == 1


def test_an_edited_file_is_read_again(project: Path, reader: Reader) -> None:
    name(project)
    write(project, "name: renamed")
    assert name(project) == "renamed"


def test_a_replaced_file_of_equal_size_and_time_is_read_again(project: Path, reader: Reader) -> None:
    name(project)
    file = project / "compose.yaml"
    status = file.stat()
    (project / "new").write_text(file.read_text().replace("shop", "pohs"))
    os.utime(project / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(project / "new", file)
    assert name(project) == "pohs"


@pytest.mark.parametrize("new", ["compose.override.yaml", "compose.override.yml", ".env"])
def test_a_file_that_appears_is_noticed(project: Path, reader: Reader, new: str) -> None:
    name(project)
    (project / new).write_text("A=1\n" if new == ".env" else SERVICES)
    name(project)
    assert reader.calls == 2


def test_a_file_that_appears_nearer_is_noticed(project: Path, reader: Reader) -> None:
    below = project / "src"
    below.mkdir()
    name(project, cwd=below)
    name(project, cwd=below)
    assert reader.calls == 1
    write(below, "name: nearer")
    assert name(project, cwd=below) == "nearer"
    assert reader.calls == 2


def test_variables_that_were_used_count(project: Path, reader: Reader) -> None:
    write(project, "name: shop-${STAGE:-dev}")
    assert name(project) == "shop-dev"
    assert name(project, OTHER="1") == "shop-dev"
    assert reader.calls == 1
    assert name(project, STAGE="test") == "shop-test"
    assert reader.calls == 2


def test_compose_variables_and_directories_have_notes_of_their_own(project: Path, reader: Reader) -> None:
    name(project)
    name(project, COMPOSE_PROFILES="x")
    name(project, COMPOSE_FILE="../shop/compose.yaml")
    assert reader.calls == 3


def test_a_note_holds_no_values(project: Path, reader: Reader) -> None:
    write(project, "name: shop\nx-secret: ${PASSWORD}")
    name(project, PASSWORD="hunter2")
    notes = list((project.parent / "root").rglob("resolve/*.json"))
    assert len(notes) == 1
    assert "hunter2" not in notes[0].read_text()
    assert notes[0].stat().st_mode & 0o777 == 0o600
    assert json.loads(notes[0].read_text())["project"] == "shop"


def test_a_damaged_note_is_none(project: Path, reader: Reader) -> None:
    name(project)
    for note in (project.parent / "root").rglob("resolve/*.json"):
        note.write_text("{")
    assert name(project) == "shop"
    assert reader.calls == 2


def test_a_broken_file_names_the_way_round_it(project: Path, reader: Reader) -> None:
    name(project)
    write(project, "services: [")
    with pytest.raises(StackFileError) as caught:
        name(project)
    assert caught.value.hint == "the project can still be addressed by name: stackup -p shop ..."
