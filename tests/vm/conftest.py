"""Says loudly when the virtual machine was not there to be tested in."""

from __future__ import annotations

import pytest

REASON = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reason = config.stash.get(REASON, "")
    if reason:
        terminalreporter.write_sep(
            "!", f"NOT TESTED ON LINUX 6.1, CGROUP V2, SYSTEMD: {reason}. See docs/vm.md", red=True, bold=True
        )
