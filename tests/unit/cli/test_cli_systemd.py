"""The unit of a project: its text, and what ``systemctl`` is asked to do with it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from cli_support import err, out, session

from stackup.base.errors import HostUnfit
from stackup.base.paths import Layout
from stackup.cli import units
from stackup.cli.registry import load
from stackup.cli.session import Session
from stackup.cli.units import Unit, program, quoted

UNIT = Unit(
    project="shop",
    program=("/opt/venv/bin/stackup",),
    options=("-p", "shop", "-f", "/srv/my shop/compose.yaml", "--profile", "$debug"),
    directory="/srv/my shop",
    environment=(("STACKUP_ROOT", "/data/100%"),),
    places=("/srv/my shop", "/var/lib/stackup"),
    stop_seconds=80,
)
STACK = """
services:
  web: {image: "bb:${TAG}", restart: always, stop_grace_period: 30s}
  db: {image: bb, restart: unless-stopped}
"""


class Systemctl:
    """Remembers what it was asked."""

    asked: ClassVar[list[str]]
    answers: ClassVar = {"ActiveState": "inactive", "UnitFileState": "enabled", "Result": "exit-code"}

    def require(self, verb: str) -> None:
        self.asked.append(f"require: {verb}")

    def run(self, *words: str) -> None:
        self.asked.append(" ".join(words))

    def show(self, unit: str, name: str) -> str:
        return self.answers[name]


@pytest.fixture
def systemctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    directory = tmp_path / "units"
    directory.mkdir()
    Systemctl.asked = []
    monkeypatch.setattr(units, "Systemctl", Systemctl)
    monkeypatch.setattr(units, "DIRECTORY", directory)
    return Systemctl.asked


@pytest.fixture
def used(tmp_path: Path) -> Session:
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "compose.yaml").write_text(STACK)
    environment = {"TAG": "1", "STACKUP_ROOT": str(tmp_path / "root"), "COMPOSE_PROFILES": "a,b", "LANG": "C"}
    return session(Layout.at(tmp_path / "root"), environment=environment, cwd=directory)


def run(used: Session, verb: str, **given: object) -> int:
    loaded = load(f"systemd {verb}")
    return loaded.run(used, loaded.request(**given))


def test_the_text() -> None:
    assert UNIT.text() == Path(__file__).with_name("unit.service").read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_has_nothing_to_say_against_it(tmp_path: Path) -> None:
    """``true`` in the place of stackup: verify wants the program to be there."""
    path = tmp_path / UNIT.name
    path.write_text(replace(UNIT, program=("/bin/true", "a b%c"), directory="/", places=("/", "/usr")).text())
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []


@pytest.mark.parametrize(
    ("word", "written"),
    [("plain-word_1", "plain-word_1"), ("a b", '"a b"'), ('say "x"', r'"say \"x\""'), ("50%", "50%%"), ("", '""'),
     ("a\\b", r'"a\\b"'), ("$HOME", "$$HOME"), ("ü", "ü")],
)  # fmt: skip
def test_quoting(word: str, written: str) -> None:
    assert quoted(word, command=True) == written


def test_the_same_stackup_is_started_again() -> None:
    assert program("/venv/bin/stackup", "/venv/bin/python", safe_path=False) == ("/venv/bin/stackup",)
    assert program("/src/stackup/__main__.py", "/usr/bin/python3", safe_path=True) == (
        "/usr/bin/python3",
        "-P",
        "-m",
        "stackup",
    )


def test_install_status_remove(systemctl: list[str], used: Session) -> None:
    path = units.DIRECTORY / "stackup-shop.service"
    assert run(used, "status") == 3
    assert run(used, "install") == 0
    text = path.read_text()
    assert f"WorkingDirectory={used.cwd}\n" in text
    assert "Environment=COMPOSE_PROFILES=a,b\n" in text
    assert "TimeoutStopSec=100\n" in text, "60 s and the grace of both"
    assert "the stack file uses TAG of your environment" in err(used)
    assert run(used, "install", now=True) == 0
    assert run(used, "status") == 0
    assert run(used, "remove") == 0
    assert not path.exists()
    assert run(used, "remove") == 0
    assert systemctl == [
        "require: install a unit",
        "daemon-reload",
        "enable stackup-shop.service",
        "require: install a unit",
        "daemon-reload",
        "enable --now stackup-shop.service",
        "require: look at a unit",
        "require: remove a unit",
        "disable stackup-shop.service",
        "daemon-reload",
    ]
    assert out(used).splitlines() == [
        "project shop has no unit; make one: stackup systemd install",
        f"{path} written, and enabled",
        f"{path} is as it should be, and enabled",
        f"{path}: enabled, inactive",
        f"{path} removed",
    ]


def test_printing_touches_nothing(systemctl: list[str], used: Session) -> None:
    assert run(used, "install", print_only=True) == 0
    assert out(used).startswith(units.MARK)
    assert systemctl == []
    assert list(units.DIRECTORY.iterdir()) == []


def test_a_file_of_somebody_else_is_left_alone(systemctl: list[str], used: Session) -> None:
    path = units.DIRECTORY / "stackup-shop.service"
    path.write_text("[Unit]\n")
    for verb in ("install", "remove"):
        with pytest.raises(HostUnfit, match="did not make"):
            run(used, verb)
    assert path.read_text() == "[Unit]\n"


def test_no_systemd(monkeypatch: pytest.MonkeyPatch, used: Session, tmp_path: Path) -> None:
    monkeypatch.setattr(units, "RUNNING", tmp_path / "none")
    with pytest.raises(HostUnfit, match="cannot install a unit: this machine was not started by systemd"):
        run(used, "install")
