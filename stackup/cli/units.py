"""systemd units of projects: their text, which is pure, and ``systemctl``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stackup.base.errors import HostUnfit
from stackup.base.files import write_atomic

RUNNING = Path("/run/systemd/system")  # sd_booted(3): there where systemd is the init
DIRECTORY = Path("/etc/systemd/system")
MARK = "# Made by `stackup systemd install`"
# What programs the same firewall, or gives the machine its names: beside these a network is made last.
AFTER = (
    "network-online.target nss-lookup.target local-fs.target "
    "docker.service firewalld.service ufw.service nftables.service"
)


@dataclass(frozen=True)
class Unit:
    """``program`` and the project's own ``options`` make the command; ``places`` must be mounted before it runs.

    ``stop_seconds``: the longest that a stop may take.
    """

    project: str
    program: tuple[str, ...]
    options: tuple[str, ...]
    directory: str
    environment: tuple[tuple[str, str], ...] = ()
    places: tuple[str, ...] = ()
    stop_seconds: int = 90

    @property
    def name(self) -> str:
        return f"stackup-{self.project}.service"

    @property
    def path(self) -> Path:
        return DIRECTORY / self.name

    def text(self) -> str:
        """Type oneshot: what runs afterwards are the containers, in control groups of stackup's own beside those of
        systemd, which neither kills nor moves them with the unit."""
        words = " ".join(quoted(word, command=True) for word in (*self.program, *self.options))
        lines = [
            f"{MARK}; `stackup systemd remove` takes it away.",
            "[Unit]",
            f"Description=stackup project {self.project}",
            "Wants=network-online.target",
            f"After={AFTER}",
            f"RequiresMountsFor={' '.join(quoted(place) for place in self.places)}",
            "",
            "[Service]",
            "Type=oneshot",
            "RemainAfterExit=yes",
            "# Containers, launcher and supervisor leave this unit's control group for /stackup; should one be in",
            "# here still, it is not killed with the unit.",
            "KillMode=process",
            f"WorkingDirectory={self.directory.replace('%', '%%')}",
            *(f"Environment={quoted(f'{key}={value}')}" for key, value in self.environment),
            "# `up -d` of what was up before, without what somebody had stopped; and `stop`, which keeps that in mind.",
            f"ExecStart={words} systemd start",
            f"ExecStop={words} systemd stop",
            "TimeoutStartSec=infinity",
            f"TimeoutStopSec={self.stop_seconds}",
            "",
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        ]
        return "\n".join(lines)


def quoted(word: str, *, command: bool = False) -> str:
    """As systemd.syntax(7) and systemd.service(5) have it; ``command``: ``$`` means something there."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    if command:
        text = text.replace("$", "$$")
    plain = all(char.isalnum() or char in "-_./=:@%+,$" for char in text)
    return text if plain and text else f'"{text}"'


class Systemctl:
    """The real ``systemctl``. Raises HostUnfit."""

    def require(self, verb: str) -> None:
        if not RUNNING.is_dir():
            raise HostUnfit(
                f"cannot {verb}: this machine was not started by systemd",
                hint="have your init system run `stackup -p PROJECT up -d` at boot, in the project's directory",
            )

    def run(self, *words: str) -> None:
        done = self._call(words)
        if done.returncode:
            reason = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
            raise HostUnfit(f"cannot run systemctl {' '.join(words)}: {reason[0]}", hint="\n".join(reason[1:]))

    def show(self, unit: str, name: str) -> str:
        return self._call(("show", "-P", name, unit)).stdout.strip()

    def _call(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
        except OSError as error:
            raise HostUnfit(f"cannot run systemctl: {error.strerror}") from error


def write(unit: Unit) -> bool:
    """False when it is there already, word for word. Raises HostUnfit when somebody else's is in its place."""
    there = read(unit.path)
    if there == unit.text():
        return False
    if there and not there.startswith(MARK):
        raise HostUnfit(f"cannot write {unit.path}: there is a file that stackup did not make", hint="move it away")
    try:
        write_atomic(unit.path, unit.text(), durable=True)
    except OSError as error:
        raise HostUnfit(f"cannot write {unit.path}: {error.strerror}") from error
    return True


def read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def program(argv0: str, executable: str, *, safe_path: bool) -> tuple[str, ...]:
    """How to start this very stackup again."""
    if argv0.endswith("__main__.py"):
        return (executable, *(["-P"] if safe_path else []), "-m", "stackup")
    return (os.path.abspath(argv0),)
