"""Services with a schedule: start sets them going, and with --now runs them before their time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackup.model.observed import Phase
from tests.plans.texts import expect
from tests.plans.world import World, make_stack


def waiting(phase: Phase = Phase.RESTARTING) -> World:
    world = World().up(make_stack({"report": {}}))
    for container in list(world.containers.values()):
        world.containers[container.id] = replace(container, phase=phase, scheduled=True)
    return world


def test_now() -> None:
    expect(
        waiting().plan(None, "start", "report", now=True),
        """
        shop: 1 action
           1  start  container shop-report-1  asked for, before its time
        """,
    )


@pytest.mark.parametrize(("phase", "now"), [(Phase.RESTARTING, False), (Phase.RUNNING, True)])
def test_nothing_to_do(phase: Phase, now: bool) -> None:
    assert not waiting(phase).plan(None, "start", "report", now=now)
