"""The process that builds."""

from __future__ import annotations

import subprocess
import sys

from stackup.images import transfers


def test_it_does_not_outlive_who_started_it() -> None:
    """Here: its parent is another process than the one that it was to end with."""
    command = [sys.executable, "-P", "-m", "stackup.build.worker", "1"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=transfers.environment(""))
    with process:
        assert process.stdout is not None
        assert process.stdout.read() == b""  # it waits for no request
    assert process.returncode == 143
