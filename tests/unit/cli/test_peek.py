"""A project's name without a YAML parser: certain, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackup.cli.peek import project_name


def peek(directory: Path, text: str, *, env: dict[str, str] | None = None, dotenv: str | None = None) -> str | None:
    directory.mkdir(exist_ok=True)
    (directory / "compose.yaml").write_text(text)
    if dotenv is not None:
        (directory / ".env").write_text(dotenv)
    return project_name(str(directory), (), env or {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("services: {}\n", "my-shop"),
        ("name: other\nservices: {}\n", "other"),
        ("services: {}\nname: 'other'  # comment\n", "other"),
        ("services:\n  web:\n    name: x\n", "my-shop"),
        ("name: ${X:-a}\n", None),
        ("name: Other\n", None),
        ('"name": a\n', None),
        ("{name: a}\n", None),
        ("<<: *base\n", None),
        ("name: a\n---\nname: b\n", None),
        ("", None),
    ],
)
def test_name(tmp_path: Path, text: str, expected: str | None) -> None:
    assert peek(tmp_path / "My-Shop", text) == expected


def test_looks_upward(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text("name: top\n")
    (tmp_path / "a/b").mkdir(parents=True)
    assert project_name(str(tmp_path / "a/b"), (), {}) == "top"


def test_compose_settings_and_overrides_are_for_the_proper_reader(tmp_path: Path) -> None:
    assert peek(tmp_path / "a", "services: {}\n", env={"COMPOSE_FILE": "x.yaml"}) is None
    assert peek(tmp_path / "b", "services: {}\n", dotenv="COMPOSE_PROJECT_NAME=z\n") is None
    assert peek(tmp_path / "c", "services: {}\n", dotenv="A=1\n") == "c"
    (tmp_path / "c/compose.override.yaml").write_text("name: z\n")
    assert peek(tmp_path / "c", "services: {}\n") is None
