"""``down``, ``rm``, ``stop``, ``start``, ``restart``, ``kill``: with the stack file, and from records alone."""

from __future__ import annotations

import pytest

from stackup.base.errors import PlanRefused, UsageError
from stackup.model.observed import ObservedVolume, Phase
from tests.plans.texts import expect
from tests.plans.world import CHECKED, World, completed, healthy, make_stack, needs, volume


def layers():
    return make_stack(
        {
            "db": {"volumes": [volume("data", "/data"), volume(None, "/scratch")], **CHECKED},
            "cache": {},
            "api": {"depends_on": {**healthy("db"), **needs("cache")}},
            "web": {"depends_on": needs("api"), "networks": {"default": None, "front": None}},
        }
    )


def test_down() -> None:
    expect(
        World().up(layers()).plan(None, "down"),
        """
        shop: 10 actions
           1  stop    container shop-web-1    down
           2  stop    container shop-api-1    down  after 1
           3  stop    container shop-cache-1  down  after 2
           4  stop    container shop-db-1     down  after 2
           5  remove  container shop-web-1    down  after 1
           6  remove  container shop-api-1    down  after 2
           7  remove  container shop-cache-1  down  after 3
           8  remove  container shop-db-1     down  after 4
           9  remove  network shop_default    down  after 5, 6, 7, 8
          10  remove  network shop_front      down  after 5
        """,
    )


def test_down_with_the_file_is_the_same() -> None:
    world = World().up(layers())
    assert world.plan(layers(), "down").actions == world.plan(None, "down").actions


def test_down_with_volumes() -> None:
    expect(
        World().up(layers()).plan(None, "down", remove_volumes=True),
        """
        shop: 11 actions
           1  stop    container shop-web-1    down
           2  stop    container shop-api-1    down       after 1
           3  stop    container shop-cache-1  down       after 2
           4  stop    container shop-db-1     down       after 2
           5  remove  container shop-web-1    down       after 1
           6  remove  container shop-api-1    down       after 2
           7  remove  container shop-cache-1  down       after 3
           8  remove  container shop-db-1     down       after 4
           9  remove  network shop_default    down       after 5, 6, 7, 8
          10  remove  network shop_front      down       after 5
          11  remove  volume shop_data        --volumes  after 8
        """,
    )


def test_down_spares_external_volumes() -> None:
    world = World().up(layers())
    world.volumes["theirs"] = ObservedVolume("theirs", "data", "", {}, external=True)
    plan = world.plan(None, "down", remove_volumes=True)
    assert "remove volume theirs" not in [action.id for action in plan]


def test_down_removes_left_over_anonymous_volumes_with_v() -> None:
    world = World()
    world.volumes["anon7"] = ObservedVolume("anon7", "", "", {}, anonymous=True)
    expect(
        world.plan(None, "down"),
        """
        shop: nothing to do
        """,
    )
    expect(
        world.plan(None, "down", remove_volumes=True),
        """
        shop: 1 action
           1  remove  volume anon7  --volumes
        """,
    )


def test_down_twice() -> None:
    expect(
        World().up(layers()).run(None, "down").plan(None, "down"),
        """
        shop: nothing to do
        """,
    )


def test_down_leaves_what_the_file_no_longer_names() -> None:
    world = World().up(layers())
    expect(
        world.plan(make_stack({"db": {}}), "down", timeout=3),
        """
        shop: 2 actions
           1  stop    container shop-db-1  down
           2  remove  container shop-db-1  down  after 1
          ! network shop_default stays: shop-api-1, shop-cache-1 and shop-web-1 use it
          ! shop-api-1, shop-cache-1 and shop-web-1: of no service in the stack file; remove with --remove-orphans
        """,
    )
    assert world.plan(make_stack({"db": {}}), "down", remove_orphans=True).actions == world.plan(None, "down").actions
    assert "remove shop-web-1" in [action.id for action in world.plan(make_stack({"db": {}}), "down", "web")]


def test_down_of_one_file_leaves_what_others_have_made() -> None:
    world = World().up(make_stack({"web": {"volumes": [volume("pages", "/pages")]}}, files=("/shop/a.yaml",)))
    world.change("web", files=("/shop/a.yaml",))
    other = make_stack(
        {"job": {"networks": {"default": None, "back": None}, "volumes": [volume("work", "/work")]}},
        files=("/shop/b.yaml",),
    )
    world.run(other, "up").change("job", files=("/shop/b.yaml",))
    expect(
        world.plan(other, "down", remove_volumes=True),
        """
        shop: 4 actions
           1  stop    container shop-job-1  down
           2  remove  container shop-job-1  down       after 1
           3  remove  network shop_back     down       after 2
           4  remove  volume shop_work      --volumes  after 2
          ! network shop_default stays: shop-web-1 uses it
        """,
    )
    world.run(other, "down", remove_volumes=True)
    assert [action.id for action in world.run(None, "rm", stop_first=True).plan(other, "down")] == [
        "remove network shop_default"
    ]
    expect(
        world.plan(other, "down", remove_volumes=True),
        """
        shop: 1 action
           1  remove  network shop_default  down
          ! volume shop_pages stays: it is not in the stack file; remove with --remove-orphans
        """,
    )
    assert "remove volume shop_pages" in [
        action.id for action in world.plan(other, "down", remove_volumes=True, remove_orphans=True)
    ]


def test_down_takes_services_that_no_profile_enables() -> None:
    world = World().up(make_stack({"web": {}, "debug": {}}))
    stack = make_stack({"web": {}})
    stack = stack.model_copy(update={"disabled": {"debug": make_stack({"debug": {}}).services["debug"]}})
    assert {action.id for action in world.plan(stack, "down")} == {action.id for action in world.plan(None, "down")}


def test_down_of_stopped_containers() -> None:
    world = World().up(make_stack({"web": {}})).change("web", phase=Phase.EXITED, exit_code=0)
    expect(
        world.plan(None, "down"),
        """
        shop: 2 actions
           1  remove  container shop-web-1  down
           2  remove  network shop_default  down  after 1
        """,
    )


def test_down_of_one_service_keeps_what_others_use() -> None:
    expect(
        World().up(layers()).plan(None, "down", "web", remove_volumes=True),
        """
        shop: 3 actions
           1  stop    container shop-web-1  down web
           2  remove  container shop-web-1  down web  after 1
           3  remove  network shop_front    down web  after 2
        """,
    )


def test_down_and_up_keeps_named_volumes() -> None:
    world = World().up(layers()).run(None, "down")
    assert set(world.volumes) >= {"shop_data"}
    assert "create volume shop_data" not in [action.id for action in world.plan(layers())]


def test_down_of_what_shares_a_namespace() -> None:
    stack = make_stack({"vpn": {}, "app": {"network_mode": "service:vpn"}})
    expect(
        World().up(stack).plan(None, "down"),
        """
        shop: 5 actions
           1  stop    container shop-app-1  down
           2  stop    container shop-vpn-1  down  after 1
           3  remove  container shop-app-1  down  after 1
           4  remove  container shop-vpn-1  down  after 2
           5  remove  network shop_default  down  after 4
        """,
    )


def test_stop() -> None:
    expect(
        World().up(layers()).plan(None, "stop"),
        """
        shop: 4 actions
           1  stop  container shop-web-1    asked for
           2  stop  container shop-api-1    asked for  after 1
           3  stop  container shop-cache-1  asked for  after 2
           4  stop  container shop-db-1     asked for  after 2
        """,
    )


def test_stop_one() -> None:
    expect(
        World().up(layers()).plan(None, "stop", "db", timeout=0.5),
        """
        shop: 1 action
           1  stop  container shop-db-1  asked for
        """,
    )


def test_stop_skips_a_level_that_is_not_running() -> None:
    world = World().up(layers()).change("api", phase=Phase.EXITED, exit_code=0)
    expect(
        world.plan(None, "stop"),
        """
        shop: 3 actions
           1  stop  container shop-web-1    asked for
           2  stop  container shop-cache-1  asked for  after 1
           3  stop  container shop-db-1     asked for  after 1
        """,
    )


def test_stop_with_the_file_leaves_orphans_alone() -> None:
    world = World().up(layers())
    plan = world.plan(make_stack({"db": {}}), "stop")
    assert [action.id for action in plan] == ["stop shop-db-1"]


def test_stop_twice() -> None:
    assert not World().up(layers()).run(None, "stop").plan(None, "stop")


def test_stop_of_an_unknown_service() -> None:
    with pytest.raises(UsageError, match="cannot stop service apo: there is no such service") as caught:
        World().up(layers()).plan(None, "stop", "apo")
    assert caught.value.hint == "did you mean api?"


def test_kill_has_no_order() -> None:
    expect(
        World().up(layers()).plan(None, "kill", signal="SIGHUP"),
        """
        shop: 4 actions
           1  kill  container shop-api-1 with SIGHUP    asked for
           2  kill  container shop-cache-1 with SIGHUP  asked for
           3  kill  container shop-db-1 with SIGHUP     asked for
           4  kill  container shop-web-1 with SIGHUP    asked for
        """,
    )


def test_start() -> None:
    expect(
        World().up(layers()).run(None, "stop").plan(None, "start"),
        """
        shop: 5 actions
           1  start  container shop-db-1          it was stopped
           2  wait   until service db is healthy  api needs it    after 1
           3  start  container shop-cache-1       it was stopped
           4  start  container shop-api-1         it was stopped  after 2, 3
           5  start  container shop-web-1         it was stopped  after 4
        """,
    )


def test_start_brings_what_it_needs() -> None:
    plan = World().up(layers()).run(None, "stop").plan(None, "start", "api")
    assert [action.id for action in plan] == [
        "start shop-db-1",
        "wait db healthy",
        "start shop-cache-1",
        "start shop-api-1",
    ]


def test_start_without_containers() -> None:
    with pytest.raises(PlanRefused, match="cannot start: the project has no containers"):
        World().plan(layers(), "start")
    with pytest.raises(PlanRefused, match="cannot start service web: it has no container"):
        World().plan(layers(), "start", "web")


def test_start_does_not_repeat_a_completed_one_shot() -> None:
    stack = make_stack({"migrate": {}, "app": {"depends_on": completed("migrate")}})
    world = World(ending={"migrate"}).up(stack).run(None, "stop")
    expect(
        world.plan(None, "start"),
        """
        shop: 1 action
           1  start  container shop-app-1  it was stopped
        """,
    )
    assert "start shop-migrate-1" in [action.id for action in world.plan(None, "start", "migrate")]


def test_restart() -> None:
    expect(
        World().up(layers()).plan(None, "restart"),
        """
        shop: 9 actions
           1  stop   container shop-web-1         asked for
           2  stop   container shop-api-1         asked for     after 1
           3  stop   container shop-db-1          asked for     after 2
           4  start  container shop-db-1          asked for     after 3
           5  wait   until service db is healthy  api needs it  after 4
           6  stop   container shop-cache-1       asked for     after 2
           7  start  container shop-cache-1       asked for     after 6
           8  start  container shop-api-1         asked for     after 5, 7
           9  start  container shop-web-1         asked for     after 8
        """,
    )


def test_restart_one_leaves_others() -> None:
    expect(
        World().up(layers()).plan(None, "restart", "api"),
        """
        shop: 2 actions
           1  stop   container shop-api-1  asked for
           2  start  container shop-api-1  asked for  after 1
        """,
    )


def test_restart_takes_along_those_that_asked_for_it() -> None:
    stack = make_stack(
        {"db": {}, "api": {"depends_on": needs("db", restart=True)}, "web": {"depends_on": needs("api")}}
    )
    world = World().up(stack)
    expect(
        world.plan(None, "restart", "db"),
        """
        shop: 4 actions
           1  stop   container shop-api-1  db is restarted
           2  stop   container shop-db-1   asked for        after 1
           3  start  container shop-db-1   asked for        after 2
           4  start  container shop-api-1  db is restarted  after 3
        """,
    )
    expect(
        world.plan(None, "restart", "db", no_deps=True),
        """
        shop: 2 actions
           1  stop   container shop-db-1  asked for
           2  start  container shop-db-1  asked for  after 1
        """,
    )


def test_restart_takes_along_shared_namespaces() -> None:
    world = World().up(make_stack({"vpn": {}, "app": {"network_mode": "service:vpn"}}))
    expect(
        world.plan(None, "restart", "vpn"),
        """
        shop: 4 actions
           1  stop   container shop-app-1  lives in the namespaces of vpn, which starts again
           2  stop   container shop-vpn-1  asked for  after 1
           3  start  container shop-vpn-1  asked for  after 2
           4  start  container shop-app-1  lives in the namespaces of vpn, which starts again  after 3
        """,
    )


def test_restart_starts_what_was_stopped() -> None:
    world = World().up(make_stack({"web": {}})).run(None, "stop")
    expect(
        world.plan(None, "restart"),
        """
        shop: 1 action
           1  start  container shop-web-1  it was stopped
        """,
    )


def test_rm_takes_only_what_does_not_run() -> None:
    world = World().up(layers()).run(None, "stop", "web")
    expect(
        world.plan(layers(), "rm"),
        """
        shop: 1 action
           1  remove  container shop-web-1  asked for
        """,
    )


def test_oneoff_containers_go_with_down_only() -> None:
    world = World().up(make_stack({"web": {}})).change("web", oneoff=True, name="shop-web-run-1")
    assert not world.plan(make_stack({"web": {}}), "stop")
    assert "remove shop-web-run-1" in [action.id for action in world.plan(make_stack({"web": {}}), "down")]


def test_rm_with_stop() -> None:
    stack = make_stack({"db": {}, "web": {"depends_on": needs("db")}})
    expect(
        World().up(stack).plan(None, "rm", stop_first=True),
        """
        shop: 4 actions
           1  stop    container shop-web-1  asked for
           2  stop    container shop-db-1   asked for  after 1
           3  remove  container shop-db-1   asked for  after 2
           4  remove  container shop-web-1  asked for  after 1
        """,
    )
