"""A command that only asks a running supervisor imports almost nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import having, session, supervisor

from stackup.base.paths import Layout

HEAVY = (
    "typer",
    "click",
    "rich",
    "pydantic",
    "networkx",
    "pyroute2",
    "yaml",
    "asyncio",
    "hashlib",
    "subprocess",
    "ssl",
)
# Runs a command as root would, then tells which modules are there.
PROGRAM = """
import json, os, sys
os.geteuid = lambda: 0
from stackup import __main__
__main__.leave = lambda code: sys.exit(print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr))
__main__.main()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory whose stack file has been resolved before."""
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "compose.yaml").write_text("services: {web: {image: host}}")
    assert session(Layout.at(tmp_path / "root"), project="", cwd=directory).project == "shop"
    return directory


def modules(project: Path, *argv: str) -> set[str]:
    root = str(project.parent / "root")
    environment = {"PATH": os.environ["PATH"], "STACKUP_ROOT": root, "PYTHONPATH": os.pathsep.join(sys.path)}
    with supervisor(Layout.at(root), having(["web"])):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *argv],
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    code, found = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(found)


READERS = {"stackup.engine", "stackup.engine.logfiles", "stackup.engine.logmerge", "stackup.engine.logreader"}


@pytest.mark.parametrize(
    "line",
    ["ps", "ps -a --format json", "logs -n5", "stop -t 1", "start", "restart web", "kill", "exec -T web ls", "up -d",
     "up", "down -v", "version"],
)  # fmt: skip
def test_quick_verbs_import_nothing_heavy(project: Path, line: str) -> None:
    found = modules(project, *line.split())
    assert not found & set(HEAVY)
    rest = found - READERS if line.startswith("logs") else found
    assert not any(name.startswith(("stackup.engine", "stackup.model", "stackup.stackfile")) for name in rest)


def test_ps_imports_little(project: Path) -> None:
    ours = {name for name in modules(project, "ps") if name.startswith("stackup.cli")}
    assert not ours & {"stackup.cli.follow", "stackup.cli.progress", "stackup.cli.live", "stackup.cli.report"}
