"""Paused containers: what pause and unpause, and the other verbs, do about them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackup.model.observed import Phase
from tests.plans.texts import expect
from tests.plans.world import World, make_stack, needs

STACK = make_stack({"db": {}, "web": {"depends_on": needs("db")}})


def paused(*names: str) -> World:
    world = World().up(STACK)
    for container in list(world.containers.values()):
        if container.service in names:
            world.containers[container.id] = replace(container, phase=Phase.PAUSED)
    return world


@pytest.mark.parametrize("verb", ["pause", "unpause"])
def test_all_at_once_and_each_answers_for_itself(verb: str) -> None:
    expect(
        paused("db").plan(None, verb),
        f"""
        shop: 2 actions
           1  {verb}  container shop-db-1   asked for
           2  {verb}  container shop-web-1  asked for
        """,
    )


def test_what_has_ended_is_left_alone() -> None:
    world = paused().run(None, "stop", "web")
    expect(
        world.plan(None, "pause"),
        """
        shop: 1 action
           1  pause  container shop-db-1  asked for
        """,
    )


@pytest.mark.parametrize("verb", ["up", "start"])
def test_it_goes_on_where_it_should_run(verb: str) -> None:
    expect(
        paused("db").plan(STACK, verb),
        """
        shop: 1 action
           1  unpause  container shop-db-1  it is paused
        """,
    )


def test_it_is_stopped_like_any_other() -> None:
    expect(
        paused("db", "web").plan(None, "stop"),
        """
        shop: 2 actions
           1  stop  container shop-web-1  asked for
           2  stop  container shop-db-1   asked for  after 1
        """,
    )
