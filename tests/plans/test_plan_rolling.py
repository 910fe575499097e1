"""``deploy.update_config``: containers of a service are replaced in batches, each watched before the next one begins."""

from __future__ import annotations

from typing import Any

import pytest

from stackup.base.errors import PlanRefused
from stackup.model.observed import Health, Phase
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


def bad_version_stops(world: World, stack: Stack, kept: int) -> None:
    """What is carried out of the next plan when its first watch fails leaves ``kept`` of the old containers running."""
    before = {item.id for item in world.containers.values() if item.live and item.config.get("user") == "1"}
    plan = world.plan(stack)
    first = next(action.id for action in plan if action.verb == "watch")
    skipped = {first}
    for action in plan:
        if skipped & set(action.after):
            skipped.add(action.id)
    world.perform(type(plan)(plan.project, tuple(item for item in plan.actions if item.id not in skipped)), stack)
    left = {item.id for item in world.containers.values() if item.live} & before
    assert len(left) >= min(kept, len(before)), plan.text()


@pytest.mark.parametrize(("order", "kept"), [("start-first", 4), ("stop-first", 3)])
@pytest.mark.parametrize("failing", [False, True])
def test_wherever_it_was_cut_short_the_rest_is_rolled(order: str, kept: int, failing: bool) -> None:
    """After every action of the first batch; the new container runs on, or has ended meanwhile."""
    update = {"order": order, "failure_action": "rollback", "delay": 0}
    stack = web("2", update, 4)
    plan = World().up(web("1", update, 4)).plan(stack)
    ids = [action.id for action in plan]
    creates = [action for action in plan if action.verb == "create"]
    for count in range(ids.index("watch web 1") + 1):
        world = World().up(web("1", update, 4))
        begun = [action for action in plan.actions[:count] if action.verb != "create"]
        world.perform(type(plan)(plan.project, (*creates, *begun)), stack)  # all are created before anything else
        for item in list(world.containers.values()):
            if failing and item.trial_for and item.live:
                world.change(item.id, phase=Phase.EXITED, exit_code=7)
        watches = [action for action in world.plan(stack) if action.verb == "watch"]
        assert [len(action.names) for action in watches] == [1] * 4  # type: ignore[attr-defined]
        assert all(action.rollback for action in watches)  # type: ignore[attr-defined]
        bad_version_stops(world, stack, kept)
        converges(world, stack)


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_a_good_version_goes_on_one_at_a_time(order: str) -> None:
    """Cut short between the first batch and the second one."""
    update = {"order": order}
    world, stack = World().up(web("1", update)), web("2", update)
    plan = world.plan(stack)
    creates = [action for action in plan if action.verb == "create"]
    until = [action.id for action in plan].index("watch web 1") + 1 + 2 * (order == "start-first")
    rest = [action for action in plan.actions[:until] if action.verb != "create"]
    world.perform(type(plan)(plan.project, (*creates, *rest)), stack)
    left = world.plan(stack)
    assert [action.names for action in left if action.verb == "watch"] == [("shop-web-2",), ("shop-web-3",)]  # type: ignore[attr-defined]
    assert not [action for action in left if action.verb == "create"]
    converges(world, stack)


def test_an_update_cut_short_in_words() -> None:
    update = {"order": "start-first", "failure_action": "rollback", "monitor": 1}
    world, stack = World().up(web("1", update, 2)), web("2", update, 2)
    plan = world.plan(stack)
    cut = [action for action in plan if action.verb == "create" or action.id == "start shop-web-1"]
    world.perform(type(plan)(plan.project, tuple(cut)), stack)
    expect(
        world.plan(stack),
        """
        shop: 7 actions
           1  watch   container shop-web-1 for 1 s, roll back if it fails  its update was cut short
           2  stop    container shop-web-1                                 replaced                  after 1
           3  remove  container shop-web-1                                 replaced                  after 2
           4  start   container shop-web-2                                 its update was cut short  after 3
           5  watch   container shop-web-2 for 1 s, roll back if it fails  its update was cut short  after 4
           6  stop    container shop-web-2                                 replaced                  after 5
           7  remove  container shop-web-2                                 replaced                  after 6
        """,
    )


def test_the_last_batch_is_watched_even_if_nothing_else_is_left_to_do() -> None:
    update = {"monitor": 1}
    world, stack = World().up(web("1", update, 1)), web("2", update, 1)
    plan = world.plan(stack)
    world.perform(type(plan)(plan.project, plan.actions[:-1]), stack)
    expect(
        world.plan(stack),
        """
        shop: 1 action
           1  watch  container shop-web-1 for 1 s  its update was cut short
        """,
    )
    converges(world, stack)


def test_after_a_pause_what_failed_is_watched_before_anything_else_is_replaced() -> None:
    update = {"failure_action": "pause"}
    world, stack = World().up(web("1", update)), web("2", update)
    plan = world.plan(stack)
    world.perform(type(plan)(plan.project, plan.actions[:4]), stack)
    world.change("shop-web-1", health=Health.UNHEALTHY)
    bad_version_stops(world, stack, 2)


def test_a_successor_is_given_up_when_the_file_is_changed_back() -> None:
    update = {"order": "start-first"}
    world, stack = World().up(web("1", update)), web("2", update)
    plan = world.plan(stack)
    world.perform(type(plan)(plan.project, plan.actions[:2]), stack)
    before = {item.id for item in world.containers.values() if item.config["user"] == "1"}
    converges(world, web("1", update))
    assert set(world.containers) == before


@pytest.mark.parametrize("update", [{"order": "new-first"}, {"failure_action": "give-up"}])
def test_words_that_mean_nothing(update: dict[str, Any]) -> None:
    with pytest.raises(PlanRefused, match=r"cannot update service web: .* is none of") as caught:
        World().up(web("1", {})).plan(web("2", update))
    assert caught.value.about.startswith("services.web.deploy.update_config.")
