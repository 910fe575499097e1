"""Services with a schedule: start sets them going, and with --now runs them before their time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackup.model.observed import Phase
from stackup.model.stack import Stack
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


def scheduled(cron: str | None) -> Stack:
    return make_stack({"report": {"stackup": {"schedule": {"cron": cron}} if cron else {}}})


def test_another_schedule_is_changed_in_place() -> None:
    world = World().up(scheduled("0 3 * * *"))
    plan = world.pull(scheduled("0 4 * * *")).plan(scheduled("0 4 * * *"))
    assert [action.id for action in plan] == ["update shop-report-1"]
    assert "stackup.schedule" in plan.actions[0].reason


@pytest.mark.parametrize(("before", "after"), [(None, "0 3 * * *"), ("0 3 * * *", None)])
def test_a_schedule_that_comes_or_goes_takes_another_container(before: str | None, after: str | None) -> None:
    world = World().up(scheduled(before))
    ids = [action.id for action in world.pull(scheduled(after)).plan(scheduled(after))]
    assert ids[:2] == ["create shop-report-1", "stop shop-report-1"]
