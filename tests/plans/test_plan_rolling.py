"""``deploy.update_config``: containers of a service are replaced in batches, each watched before the next one begins."""

from __future__ import annotations

from typing import Any

import pytest

from stackup.base.errors import PlanRefused
from stackup.model.stack import Stack
from tests.plans.texts import expect
from tests.plans.world import World, make_stack


def web(user: str, update: dict[str, Any], replicas: int = 3, **more: Any) -> Stack:
    return make_stack({"web": {"user": user, "deploy": {"replicas": replicas, "update_config": update}, **more}})


def converges(world: World, stack: Stack) -> None:
    world.run(stack)
    assert not world.plan(stack)
    world.check(stack)


def test_one_at_a_time() -> None:
    update = {"delay": 2, "monitor": 1}
    world, stack = World().up(web("1", update)), web("2", update)
    expect(
        world.plan(stack),
        """
        shop: 17 actions
           1  create  container shop-web-1          config changed: user: "1" -> "2"
           2  stop    container shop-web-1          replaced               after 1
           3  remove  container shop-web-1          replaced               after 2
           4  start   container shop-web-1          new                    after 3
           5  create  container shop-web-2          config changed: user: "1" -> "2"
           6  watch   container shop-web-1 for 1 s  update_config.monitor  after 4
           7  pause   service web for 2 s           update_config.delay    after 6
           8  stop    container shop-web-2          replaced               after 5, 7
           9  remove  container shop-web-2          replaced               after 8
          10  start   container shop-web-2          new                    after 9
          11  create  container shop-web-3          config changed: user: "1" -> "2"
          12  watch   container shop-web-2 for 1 s  update_config.monitor  after 10
          13  pause   service web for 2 s           update_config.delay    after 12
          14  stop    container shop-web-3          replaced               after 11, 13
          15  remove  container shop-web-3          replaced               after 14
          16  start   container shop-web-3          new                    after 15
          17  watch   container shop-web-3 for 1 s  update_config.monitor  after 16
        """,
    )
    converges(world, stack)


def test_new_ones_first_two_at_a_time_and_back_if_that_fails() -> None:
    update = {"order": "start-first", "parallelism": 2, "failure_action": "rollback"}
    world, stack = World().up(web("1", update)), web("2", update)
    expect(
        world.plan(stack),
        """
        shop: 14 actions
           1  create  container shop-web-1                                 config changed: user: "1" -> "2"
           2  start   container shop-web-1                                 new                    after 1
           3  create  container shop-web-2                                 config changed: user: "1" -> "2"
           4  start   container shop-web-2                                 new                    after 3
           5  watch   container shop-web-1, shop-web-2 for 5 s, roll back if it fails  update_config.monitor  after 2, 4
           6  stop    container shop-web-1                                 replaced               after 5
           7  remove  container shop-web-1                                 replaced               after 6
           8  stop    container shop-web-2                                 replaced               after 5
           9  remove  container shop-web-2                                 replaced               after 8
          10  create  container shop-web-3                                 config changed: user: "1" -> "2"
          11  start   container shop-web-3                                 new                    after 7, 9, 10
          12  watch   container shop-web-3 for 5 s, roll back if it fails  update_config.monitor  after 11
          13  stop    container shop-web-3                                 replaced               after 12
          14  remove  container shop-web-3                                 replaced               after 13
        """,
    )
    converges(world, stack)


@pytest.mark.parametrize(
    ("update", "tolerated"),
    [
        ({}, 0),
        ({"failure_action": "pause", "max_failure_ratio": 0.5}, 1),
        ({"max_failure_ratio": 1.0}, 3),
        ({"failure_action": "continue"}, -1),
    ],
)
def test_how_many_may_fail(update: dict[str, Any], tolerated: int) -> None:
    plan = World().up(web("1", update)).plan(web("2", update))
    assert {action.tolerated for action in plan if action.verb == "watch"} == {tolerated}  # type: ignore[attr-defined]
    assert all(action.tolerant is (tolerated < 0) for action in plan if action.verb == "watch")


def test_all_at_once_is_one_batch() -> None:
    plan = World().up(web("1", {"parallelism": 0})).plan(web("2", {"parallelism": 0}))
    assert [action.id for action in plan if action.verb == "watch"] == ["watch web 1"]


def test_a_port_of_its_own_cannot_be_had_twice() -> None:
    update = {"order": "start-first"}
    ports = {"ports": [{"target": 80, "published": "8000-8002"}]}
    world, stack = World().up(web("1", update, **ports)), web("2", update, **ports)
    plan = world.plan(stack)
    assert [item.text for item in plan.notices] == [
        "web: stopped before its successors start, for it publishes a port of its own"
    ]
    assert [action.id for action in plan][:4] == [
        "create shop-web-1",
        "stop shop-web-1",
        "remove shop-web-1",
        "start shop-web-1",
    ]
    converges(world, stack)


def test_a_fixed_address_cannot_be_had_twice_either() -> None:
    update = {"order": "start-first"}
    at = {"networks": {"default": {"ipv4_address": "10.9.0.5"}}}
    plan = World().up(web("1", update, 1, **at)).plan(web("2", update, 1, **at))
    assert "replaced at once" in plan.notices[0].text
    assert not [action for action in plan if action.verb == "watch"]


def test_guests_of_its_namespace_make_it_replaced_at_once() -> None:
    def stack(user: str) -> Stack:
        vpn = {"user": user, "deploy": {"update_config": {"order": "start-first"}}}
        return make_stack({"vpn": vpn, "app": {"network_mode": "service:vpn"}})

    world = World().up(stack("1"))
    assert "replaced at once" in world.plan(stack("2")).notices[0].text
    converges(world, stack("2"))


def test_what_changes_in_place_is_not_rolled() -> None:
    plan = World().up(web("1", {}, mem_limit=1)).plan(web("1", {}, mem_limit=2))
    assert {action.verb for action in plan} == {"update"}


def test_the_way_back_has_rules_and_words_of_its_own() -> None:
    def stack(user: str) -> Stack:
        deploy = {"replicas": 2, "update_config": {}, "rollback_config": {"parallelism": 0, "monitor": 0}}
        return make_stack({"web": {"user": user, "deploy": deploy}})

    plan = World().up(stack("2")).plan(stack("1"), "up", "web", rollback=True)
    assert plan.actions[0].reason == 'rolled back: user: "2" -> "1"'
    watches = [action for action in plan if action.verb == "watch"]
    assert [(action.reason, action.describe()) for action in watches] == [
        ("rollback_config.monitor", "watch container shop-web-1, shop-web-2 for 0 s")
    ]


def test_an_update_that_was_cut_short_goes_on_where_it_stood() -> None:
    update = {"order": "start-first"}
    world, stack = World().up(web("1", update)), web("2", update)
    plan = world.plan(stack)
    for count in range(len(plan.actions) + 1):
        world = World().up(web("1", update))
        world.perform(type(plan)(plan.project, plan.actions[:count]), stack)
        converges(world, stack)


@pytest.mark.parametrize("update", [{"order": "new-first"}, {"failure_action": "give-up"}])
def test_words_that_mean_nothing(update: dict[str, Any]) -> None:
    with pytest.raises(PlanRefused, match=r"cannot update service web: .* is none of") as caught:
        World().up(web("1", {})).plan(web("2", update))
    assert caught.value.about.startswith("services.web.deploy.update_config.")
