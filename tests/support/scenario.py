"""The vocabulary of the end-to-end tests: a stack in a directory, steps through the command line, observables.

Checks look at what a user gets: processes, files, pages, rows of ``ps``. A check that cannot be made (no such service)
fails; it never passes for want of something to look at.
"""

from __future__ import annotations

import json
import os
import re
import signal
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support import residue
from tests.support.cli import Cli, Done, Live
from tests.support.waiting import eventually, gone


class Scenario:
    """``stackup`` is the command line; ``project`` the name of the directory, and so of the project."""

    def __init__(self, root: Path, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.directory = directory
        self.stackup = Cli(root, directory, dict(environment or {}))
        self.live: list[Live] = []

    @property
    def project(self) -> str:
        return self.directory.name

    # ---------------------------------------------------------------------------------------------- what is given

    def compose(self, text: str) -> None:
        self.file("compose.yaml", text)

    def file(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        return path

    def replace(self, old: str, new: str, name: str = "compose.yaml") -> None:
        """An edit, as by hand."""
        path = self.directory / name
        text = path.read_text()
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new))

    def start(self, *args: str, terminal: bool = False) -> Live:
        live = self.stackup.start(*args, terminal=terminal)
        self.live.append(live)
        return live

    # ---------------------------------------------------------------------------------------------- what is seen

    def ps(self, *args: str) -> list[dict[str, Any]]:
        """Rows of ``ps --format json``: one JSON object a line, as docker compose prints them."""
        out = self.stackup("ps", "--format", "json", *args).ok().out
        if out.lstrip().startswith("["):
            rows: list[dict[str, Any]] = json.loads(out)
            return rows
        return [json.loads(line) for line in out.splitlines() if line.strip()]

    def row(self, service: str) -> dict[str, Any]:
        rows = [row for row in self.ps("-a") if row["Service"] == service]
        assert len(rows) == 1, f"{len(rows)} containers of {service}: {rows}"
        return rows[0]

    def container_id(self, service: str) -> str:
        return str(self.row(service)["ID"])

    def state(self, service: str) -> str:
        return str(self.row(service)["State"])

    def has_state(self, service: str, state: str, timeout: float = 10) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            row = self.row(service)
            assert row["State"] == state, f"{service} is {row['State']} ({row.get('Status')})"
            return row

        return eventually(look, f"{service} is {state}", timeout)

    def has_health(self, service: str, health: str, timeout: float = 20) -> None:
        def look() -> bool:
            row = self.row(service)
            assert row["Health"] == health, f"{service} is {row['State']}, health {row['Health']!r}"
            return True

        eventually(look, f"{service} is {health}", timeout)

    def logs(self, *args: str) -> str:
        return self.stackup("logs", "--no-log-prefix", *args).ok().out

    def exec(self, service: str, *command: str, timeout: float = 20) -> Done:
        return self.stackup("exec", "-T", service, *command, timeout=timeout)

    def run_in(self, service: str, script: str, timeout: float = 20) -> str:
        """Output of a shell script inside the service's container."""
        return self.exec(service, "sh", "-c", script, timeout=timeout).ok().out.strip()

    # ------------------------------------------------------------------------------------- what the machine shows

    def pids(self, service: str) -> list[int]:
        """Host pids of the container's processes, PID 1 of the container first; from its cgroup, not from stackup."""
        short = self.container_id(service)[:12]
        found: set[int] = set()
        for directory in residue.cgroups(self.root):
            if short in str(directory):
                found |= {int(pid) for pid in residue.read(f"{directory}/cgroup.procs").split()}
        return sorted(found, key=lambda pid: (inner_pid(pid), pid))

    def pid(self, service: str) -> int:
        """Host pid of the container's PID 1, as soon as there is one."""

        def look() -> int | None:
            return next((pid for pid in self.pids(service) if inner_pid(pid) == 1), None)

        answer = eventually(look, f"{service} has a process")
        assert answer is not None
        return answer

    def daemon(self, kind: str) -> int:
        """Host pid of the project's ``supervisor`` or ``launcher``."""
        pattern = re.compile(rf"stackup {kind} {re.escape(self.project)}(\s|$)")

        def look() -> int | None:
            for process in residue.all_processes():
                if pattern.search(process.command) and residue.belongs(process.pid, self.root):
                    return process.pid
            return None

        answer = eventually(look, f"there is a {kind} of {self.project}")
        assert answer is not None
        return answer

    def processes(self) -> list[residue.Process]:
        """Every process that belongs to this state root."""
        return [process for process in residue.all_processes() if residue.belongs(process.pid, self.root)]

    def kill_daemon(self, kind: str) -> int:
        pid = self.daemon(kind)
        os.kill(pid, signal.SIGKILL)
        gone(pid)
        return pid

    def projects(self) -> list[str]:
        directory = self.root / "lib/projects"
        return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []

    def take_down(self, *, strict: bool = True) -> None:
        """What ends every scenario: nothing runs, nothing is kept."""
        for live in self.live:
            live.kill()
        for project in self.projects():
            done = self.stackup("-p", project, "down", "-v", "-t", "0")
            assert not strict or done.code == 0, str(done)

    def story(self) -> str:
        """Everything that was typed and answered, and what the project's own processes wrote."""
        parts = [str(done) for done in self.stackup.transcript]
        parts += [f"\n{live.command}:\n{live.text}" for live in self.live]
        for log in sorted(self.root.glob("lib/projects/*/*.log")):
            parts.append(f"\n{log.name}:\n{log.read_text(errors='replace')[-5000:]}")
        return "\n".join(parts)


def inner_pid(pid: int) -> int:
    """The pid that a process has in its own pid namespace; a large number when it is gone."""
    found = re.search(r"^NSpid:.*\t(\d+)$", residue.read(f"/proc/{pid}/status"), re.MULTILINE)
    return int(found.group(1)) if found else 1 << 30
