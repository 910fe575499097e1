"""What runs in the machine: two short suites, which pytest runs too, and long ones for ``./dev vm --suite NAME``."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

# An emulated machine is some ten to twenty times slower, and shares its processors with other tests.
PATIENCE = 8
_UNDER_SYSTEMD = "tests/vm/guest/under_systemd.py"
_PYTEST = (
    f"STACKUP_TEST_PATIENCE={PATIENCE} python -m pytest -p no:cacheprovider --timeout=600 --tb=short -v --durations=10"
)


@dataclass(frozen=True, slots=True)
class Suite:
    """``init`` as in ``machine.boot``; ``left_out``: tests that measure this machine's speed and not what is tested."""

    init: str
    tests: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    script: str = ""  # instead of pytest; the machine may reboot, and runs it again then

    def command(self) -> str:
        if self.script:
            return self.script
        words = [*self.tests, *(f"--deselect={name}" for name in self.left_out)]
        return f"{_PYTEST} {shlex.join(words)}"


_IN_REAL_TIME = (
    "tests/kernel/test_runtime_life.py::test_no_line_is_lost_when_readers_are_killed",
    "tests/kernel/test_runtime_supervisor.py::test_a_killed_supervisor_is_back",
    "tests/e2e/test_crash.py::test_a_killed_supervisor_is_back_within_two_seconds_and_has_adopted_everything",
    # It needs the images that only a machine with a network can build.
    "tests/e2e/test_guestbook.py",
)
SUITES = {
    "kernel": Suite(
        "plain",
        (
            "tests/kernel/test_runtime_limits.py",
            "tests/kernel/test_runtime_life.py::test_the_same_container_does_not_run_twice",
            "tests/kernel/test_runtime_life.py::test_adoption",
            "tests/kernel/test_runtime_fallbacks.py::test_more_layers_than_one_page_of_options",
            "tests/kernel/test_runtime_container.py::test_it_is_pid_1_of_its_own_world",
            "tests/kernel/test_runtime_container.py::test_masked_and_readonly_paths",
            "tests/kernel/test_runtime_container.py::test_default_devices_work_and_others_do_not",
            "tests/e2e/test_up.py::test_up_serves_a_page_through_a_published_port",
        ),
    ),
    "freezer": Suite(
        "plain", ("tests/e2e/test_pausing.py", "tests/e2e/recovery/test_drift.py::test_mounts_limits_and_files")
    ),
    "systemd": Suite(
        "systemd",
        (
            f"{_UNDER_SYSTEMD}::test_this_is_systemd_and_cgroup_v2",
            f"{_UNDER_SYSTEMD}::test_a_project_outlives_the_session_that_started_it[up]",
            f"{_UNDER_SYSTEMD}::test_limits_hold_whatever_systemd_does_to_its_tree",
        ),
    ),
    "reboot": Suite("systemd", (), script="exec python -m tests.vm.guest.over_a_reboot"),
    "all-systemd": Suite("systemd", (_UNDER_SYSTEMD,)),
    "all-kernel": Suite("plain", ("tests/kernel", "tests/security", "tests/conformance/oci"), _IN_REAL_TIME),
    "all-e2e": Suite("plain", ("tests/e2e",), _IN_REAL_TIME),
}
