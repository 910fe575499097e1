"""The short suites, each in one boot. They run when the image is there (``./dev vm`` makes it): making it takes minutes
and the network, which the test run does not have. Otherwise the summary says loudly that they did not run."""

from __future__ import annotations

import pytest

from tests.vm.conftest import REASON
from tests.vm.image import VmUnavailable, image
from tests.vm.machine import boot
from tests.vm.suites import SUITES

# Emulated, at the lowest priority, beside other tests.
PATIENCE = 1500

pytestmark = [pytest.mark.timeout(PATIENCE + 60), pytest.mark.xdist_group("vm")]


@pytest.mark.parametrize("name", ["kernel", "systemd"])
def test_in_the_machine(name: str, request: pytest.FixtureRequest) -> None:
    suite = SUITES[name]
    try:
        outcome = boot(image("debian12"), suite.command(), init=suite.init, timeout=PATIENCE)
    except VmUnavailable as error:
        request.config.stash[REASON] = str(error)
        pytest.skip(f"NOT RUN: {error}")
    assert outcome.code == 0, str(outcome)
    assert " passed" in outcome.output and " failed" not in outcome.output, str(outcome)
