"""What runs in the machine: the short forms that pytest runs, and the long one of ``./dev vm --all``."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

# An emulated machine is some ten to twenty times slower, and shares its processors with other tests.
PATIENCE = 8
_PYTEST = (
    f"STACKUP_TEST_PATIENCE={PATIENCE} python -m pytest -p no:cacheprovider --timeout=600 --tb=short -v --durations=10"
)


@dataclass(frozen=True, slots=True)
class Suite:
    """``init`` as in ``machine.boot``; ``left_out``: tests that measure this machine's speed and not what is tested."""

    init: str
    tests: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def command(self) -> str:
        words = [*self.tests, *(f"--deselect={name}" for name in self.left_out)]
        return f"{_PYTEST} {shlex.join(words)}"


SUITES = {
    "kernel": Suite(
        "plain",
        (
            "tests/kernel/test_runtime_limits.py",
            "tests/kernel/test_runtime_fallbacks.py::test_more_layers_than_one_page_of_options",
            "tests/kernel/test_runtime_container.py::test_it_is_pid_1_of_its_own_world",
            "tests/kernel/test_runtime_container.py::test_mounts_of_the_host_are_not_there",
            "tests/e2e/test_up.py::test_up_serves_a_page_through_a_published_port",
            "tests/e2e/test_crash.py::test_both_killed_then_down_leaves_nothing",
        ),
    ),
    "systemd": Suite("systemd", ("tests/vm/guest/under_systemd.py",)),
    "all": Suite("plain", ("tests/kernel", "tests/security", "tests/conformance/oci", "tests/e2e")),
}
