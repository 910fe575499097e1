"""The things that are measured, each behind the same few verbs. Times are seconds of a whole command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

IMAGE = "stackup-bench:1"


class BenchError(Exception):
    """A command that was to be measured failed; the text has its output."""


class Engine(Protocol):
    name: str

    def up(self, compose: str, project: str) -> float: ...

    def no_op_up(self, compose: str, project: str) -> float: ...

    def ps(self, compose: str, project: str) -> float: ...

    def exec(self, compose: str, project: str, service: str) -> float: ...

    def down(self, compose: str, project: str) -> float: ...


def timed(command: list[str], *, stdin: str = "", cwd: Path | None = None, env: dict[str, str] | None = None) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, input=stdin, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return seconds


class Compose:
    """Any engine with docker compose's command line. The file goes in through standard input, because the engine may
    live where our files are not seen."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self.command = command

    def call(self, compose: str, project: str, *arguments: str) -> float:
        return timed([*self.command, "-p", project, "-f", "-", *arguments], stdin=compose)

    def up(self, compose: str, project: str) -> float:
        return self.call(compose, project, "up", "-d")

    def no_op_up(self, compose: str, project: str) -> float:
        return self.call(compose, project, "up", "-d")

    def ps(self, compose: str, project: str) -> float:
        return self.call(compose, project, "ps")

    def exec(self, compose: str, project: str, service: str) -> float:
        return self.call(compose, project, "exec", "-T", service, "true")

    def down(self, compose: str, project: str) -> float:
        return self.call(compose, project, "down", "-t", "0")

    def import_image(self, tar: Path, command: list[str]) -> None:
        with tar.open("rb") as file:
            subprocess.run([*command, "import", "-", IMAGE], stdin=file, check=True, capture_output=True)


class Stackup(Compose):
    """The command beside this interpreter, with a compose.yaml in a directory, in a state root of its own."""

    def __init__(self, work: Path) -> None:
        installed = Path(sys.executable).with_name("stackup")
        super().__init__("stackup", [str(installed)] if installed.exists() else [sys.executable, "-m", "stackup"])
        self.work = work
        tree = Path(__file__).resolve().parents[2]
        self.env = {**os.environ, "STACKUP_ROOT": str(work / "root"), "PYTHONPATH": str(tree)}
        # In memory, as /run is on every machine. Only this process's mount namespace sees it.
        self.run_files = work / "root/run"
        self.run_files.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(self.run_files)], check=True)

    def close(self) -> None:
        subprocess.run(["umount", str(self.run_files)], check=True)

    def call(self, compose: str, project: str, *arguments: str) -> float:
        directory = self.work / project
        file = directory / "compose.yaml"
        directory.mkdir(exist_ok=True)
        if not file.exists() or file.read_text() != compose:
            file.write_text(compose)
        return timed([*self.command, *arguments], cwd=directory, env=self.env)

    def take(self, tar: Path) -> None:
        timed([*self.command, "import", str(tar), IMAGE], cwd=self.work, env=self.env)


@dataclass
class Floor:
    """Bare containers without any engine; see floor.py."""

    rootfs: Path
    name: str = "kernel floor"

    def run(self, number: int) -> tuple[float, float]:
        """Seconds up, seconds down."""
        program = Path(__file__).with_name("floor.py")
        isolated = ["unshare", "--net", "--mount", "--propagation", "private"]
        done = subprocess.run(
            [*isolated, sys.executable, "-S", "-E", str(program), str(self.rootfs), str(number)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise BenchError(done.stderr)
        answer = json.loads(done.stdout)
        return answer["up"], answer["down"]


def docker_on_this_machine() -> list[str]:
    """``docker compose`` when it is installed and its engine answers."""
    if not shutil.which("docker"):
        return []
    for arguments in (["compose", "version"], ["info"]):
        if subprocess.run(["docker", *arguments], capture_output=True, check=False).returncode != 0:
            return []
    return ["docker", "compose"]
