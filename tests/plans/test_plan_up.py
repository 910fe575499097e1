"""``up`` from nothing, ``up`` again, selection, scale, conditions."""

from __future__ import annotations

from typing import Any

import pytest

from stackup.base.errors import PlanRefused, UsageError
from stackup.model.observed import Health, ObservedNetwork, Phase
from tests.plans.texts import expect
from tests.plans.world import CHECKED, World, completed, healthy, make_stack, needs, volume


def guestbook():
    return make_stack(
        {
            "db": {"image": "postgres", "volumes": [volume("data", "/var/lib/postgresql/data")], **CHECKED},
            "migrate": {"image": "app", "depends_on": healthy("db")},
            "app": {"image": "app", "depends_on": {**healthy("db"), **completed("migrate")}, **CHECKED},
            "web": {"image": "nginx", "depends_on": healthy("app"), "ports": [{"target": 80, "published": "8080"}]},
        }
    )


def test_one_service() -> None:
    stack = make_stack({"web": {}})
    expect(
        World().pull(stack).plan(stack),
        """
        shop: 3 actions
           1  create  network shop_default  web uses it
           2  create  container shop-web-1  no container yet  after 1
           3  start   container shop-web-1  new               after 2
        """,
    )


def test_guestbook_from_nothing() -> None:
    stack = guestbook()
    expect(
        World().pull(stack).plan(stack),
        """
        shop: 13 actions
           1  create  network shop_default                              db, migrate, app and web use it
           2  create  volume shop_data                                  db mounts it
           3  create  container shop-db-1                               no container yet         after 1, 2
           4  start   container shop-db-1                               new                      after 3
           5  wait    until service db is healthy                       migrate and app need it  after 4
           6  create  container shop-migrate-1                          no container yet         after 1
           7  start   container shop-migrate-1                          new                      after 5, 6
           8  wait    until service migrate has completed successfully  app needs it             after 7
           9  create  container shop-app-1                              no container yet         after 1
          10  start   container shop-app-1                              new                      after 8, 9
          11  wait    until service app is healthy                      web needs it             after 10
          12  create  container shop-web-1                              no container yet         after 1
          13  start   container shop-web-1                              new                      after 11, 12
        """,
    )


def test_guestbook_again_is_nothing() -> None:
    stack = guestbook()
    expect(
        World(ending={"migrate"}).up(stack).plan(stack),
        """
        shop: nothing to do
        """,
    )


def test_independent_services_do_not_wait_for_each_other() -> None:
    stack = make_stack({"one": {}, "two": {}})
    expect(
        World().pull(stack).plan(stack),
        """
        shop: 5 actions
           1  create  network shop_default  one and two use it
           2  create  container shop-one-1  no container yet  after 1
           3  start   container shop-one-1  new               after 2
           4  create  container shop-two-1  no container yet  after 1
           5  start   container shop-two-1  new               after 4
        """,
    )


def test_started_is_met_by_order_alone() -> None:
    stack = make_stack({"web": {"depends_on": needs("db")}, "db": {}})
    expect(
        World().pull(stack).plan(stack),
        """
        shop: 5 actions
           1  create  network shop_default  db and web use it
           2  create  container shop-db-1   no container yet  after 1
           3  start   container shop-db-1   new               after 2
           4  create  container shop-web-1  no container yet  after 1
           5  start   container shop-web-1  new               after 3, 4
        """,
    )


def test_optional_dependency_may_fail() -> None:
    stack = make_stack({"web": {"depends_on": needs("cache", required=False)}, "cache": {}})
    expect(
        World().pull(stack).plan(stack),
        """
        shop: 6 actions
           1  create  network shop_default             cache and web use it
           2  create  container shop-cache-1           no container yet  after 1
           3  start   container shop-cache-1           new               after 2
           4  wait    until service cache has started  web needs it      after 3
           5  create  container shop-web-1             no container yet  after 1
           6  start   container shop-web-1             new               after 4, 5
        """,
    )


def test_optional_dependency_that_is_disabled() -> None:
    stack = make_stack({"web": {"depends_on": healthy("cache", required=False)}})
    expect(
        World().pull(stack).plan(stack),
        """
        shop: 3 actions
           1  create  network shop_default  web uses it
           2  create  container shop-web-1  no container yet  after 1
           3  start   container shop-web-1  new               after 2
        """,
    )


def test_network_without_users_is_not_made() -> None:
    stack = make_stack({"tool": {"network_mode": "none"}}, networks={"default": {}, "back": {}}, volumes={"unused": {}})
    expect(
        World().pull(stack).plan(stack),
        """
        shop: 2 actions
           1  create  container shop-tool-1  no container yet
           2  start   container shop-tool-1  new  after 1
        """,
    )


def test_selected_service_brings_what_it_needs() -> None:
    stack = guestbook()
    expect(
        World().pull(stack).plan(stack, "up", "migrate"),
        """
        shop: 7 actions
           1  create  network shop_default         db and migrate use it
           2  create  volume shop_data             db mounts it
           3  create  container shop-db-1          no container yet  after 1, 2
           4  start   container shop-db-1          new               after 3
           5  wait    until service db is healthy  migrate needs it  after 4
           6  create  container shop-migrate-1     no container yet  after 1
           7  start   container shop-migrate-1     new               after 5, 6
        """,
    )


def test_no_deps() -> None:
    stack = guestbook()
    expect(
        World().pull(stack).plan(stack, "up", "web", no_deps=True),
        """
        shop: 3 actions
           1  create  network shop_default  web uses it
           2  create  container shop-web-1  no container yet  after 1
           3  start   container shop-web-1  new               after 2
        """,
    )


def test_new_dependant_of_a_healthy_service_does_not_wait() -> None:
    small = make_stack({"db": {**CHECKED}})
    stack = make_stack({"db": {**CHECKED}, "web": {"depends_on": healthy("db")}})
    expect(
        World().up(small).pull(stack).plan(stack),
        """
        shop: 2 actions
           1  create  container shop-web-1  no container yet
           2  start   container shop-web-1  new  after 1
        """,
    )


def test_new_dependant_waits_for_a_service_that_is_still_starting() -> None:
    small = make_stack({"db": {**CHECKED}})
    stack = make_stack({"db": {**CHECKED}, "web": {"depends_on": healthy("db")}})
    world = World().up(small).pull(stack).change("db", health=Health.STARTING)
    expect(
        world.plan(stack),
        """
        shop: 3 actions
           1  wait    until service db is healthy  web needs it
           2  create  container shop-web-1         no container yet
           3  start   container shop-web-1         new  after 1, 2
        """,
    )


def test_scale_from_nothing() -> None:
    stack = make_stack({"web": {"scale": 2}})
    expect(
        World().pull(stack).plan(stack),
        """
        shop: 5 actions
           1  create  network shop_default  web uses it
           2  create  container shop-web-1  no container yet  after 1
           3  start   container shop-web-1  new               after 2
           4  create  container shop-web-2  no container yet  after 1
           5  start   container shop-web-2  new               after 4
        """,
    )


def test_scale_up() -> None:
    stack = make_stack({"web": {}})
    expect(
        World().up(stack).plan(stack, scale={"web": 3}),
        """
        shop: 4 actions
           1  create  container shop-web-2  scaled up to 3
           2  start   container shop-web-2  new  after 1
           3  create  container shop-web-3  scaled up to 3
           4  start   container shop-web-3  new  after 3
        """,
    )


def test_scale_down_takes_the_highest_numbers() -> None:
    stack = make_stack({"web": {"deploy": {"replicas": 3}}})
    expect(
        World().up(stack).plan(stack, scale={"web": 1}),
        """
        shop: 4 actions
           1  stop    container shop-web-2  scaled down to 1
           2  remove  container shop-web-2  scaled down to 1  after 1
           3  stop    container shop-web-3  scaled down to 1
           4  remove  container shop-web-3  scaled down to 1  after 3
        """,
    )


def test_scale_down_takes_outdated_ones_first() -> None:
    stack = make_stack({"web": {"scale": 2}})
    world = World().up(stack).change("shop-web-1", image_id="sha256:older")
    expect(
        world.plan(stack, scale={"web": 1}),
        """
        shop: 2 actions
           1  stop    container shop-web-1  scaled down to 1
           2  remove  container shop-web-1  scaled down to 1  after 1
        """,
    )


def test_scale_to_nothing() -> None:
    stack = make_stack({"web": {}, "db": {}})
    expect(
        World().up(stack).plan(stack, scale={"web": 0}),
        """
        shop: 2 actions
           1  stop    container shop-web-1  scaled down to 0
           2  remove  container shop-web-1  scaled down to 0  after 1
        """,
    )


def test_dependency_without_containers_is_not_waited_for() -> None:
    stack = make_stack({"web": {"depends_on": healthy("db")}, "db": {"scale": 0, **CHECKED}})
    expect(
        World().pull(stack).plan(stack),
        """
        shop: 3 actions
           1  create  network shop_default  db and web use it
           2  create  container shop-web-1  no container yet  after 1
           3  start   container shop-web-1  new               after 2
        """,
    )


def test_stopped_ones_start_again() -> None:
    stack = make_stack({"web": {"depends_on": needs("db")}, "db": {}})
    world = World().up(stack).run(stack, "stop")
    expect(
        world.plan(stack),
        """
        shop: 2 actions
           1  start  container shop-db-1   it was stopped
           2  start  container shop-web-1  it was stopped  after 1
        """,
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"phase": Phase.EXITED, "exit_code": 3}, "it exited with code 3"),
        ({"phase": Phase.EXITED, "exit_code": 0, "stopped_by_user": True}, "it was stopped"),
        ({"phase": Phase.EXITED, "exit_unknown": True}, "it ended while nobody watched"),
        ({"phase": Phase.CREATED}, "created but never started"),
        ({"phase": Phase.STOPPING}, "it was being stopped"),
    ],
)
def test_reasons_for_a_start(changes: dict[str, object], reason: str) -> None:
    stack = make_stack({"web": {}})
    plan = World().up(stack).change("web", **changes).plan(stack)
    assert [(action.id, action.reason) for action in plan] == [("start shop-web-1", reason)]


@pytest.mark.parametrize(("restart", "again"), [(None, False), ("on-failure", False), ("always", True)])
def test_what_is_done_is_not_done_again(restart: str | None, again: bool) -> None:
    stack = make_stack({"job": {"restart": restart} if restart else {}})
    plan = World().up(stack).change("job", phase=Phase.EXITED, exit_code=0).plan(stack)
    assert bool(plan) is again


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.STARTING, Phase.RESTARTING])
def test_what_runs_is_not_touched(phase: Phase) -> None:
    stack = make_stack({"web": {}})
    assert not World().up(stack).change("web", phase=phase).plan(stack)


def test_completed_one_shot_runs_again_when_it_failed() -> None:
    stack = guestbook()
    world = (
        World(ending={"migrate"})
        .up(stack)
        .change("migrate", exit_code=1)
        .change("app", phase=Phase.EXITED, exit_code=1)
    )
    expect(
        world.plan(stack),
        """
        shop: 3 actions
           1  start  container shop-migrate-1                          it exited with code 1
           2  wait   until service migrate has completed successfully  app needs it           after 1
           3  start  container shop-app-1                              it exited with code 1  after 2
        """,
    )


def test_one_shot_whose_exit_nobody_saw_runs_again() -> None:
    stack = guestbook()
    world = World(ending={"migrate"}).up(stack).change("migrate", exit_code=None, exit_unknown=True)
    assert [action.id for action in world.plan(stack)] == ["start shop-migrate-1"]


def test_wait_for_all() -> None:
    expect(
        World().pull(guestbook()).plan(guestbook(), wait=True, wait_timeout=60),
        """
        shop: 14 actions
           1  create  network shop_default                              db, migrate, app and web use it
           2  create  volume shop_data                                  db mounts it
           3  create  container shop-db-1                               no container yet         after 1, 2
           4  start   container shop-db-1                               new                      after 3
           5  wait    until service db is healthy                       migrate and app need it  after 4
           6  create  container shop-migrate-1                          no container yet         after 1
           7  start   container shop-migrate-1                          new                      after 5, 6
           8  wait    until service migrate has completed successfully  app needs it             after 7
           9  create  container shop-app-1                              no container yet         after 1
          10  start   container shop-app-1                              new                      after 8, 9
          11  wait    until service app is healthy                      web needs it             after 10
          12  create  container shop-web-1                              no container yet         after 1
          13  start   container shop-web-1                              new                      after 11, 12
          14  wait    until service web is running or healthy           --wait                   after 13
        """,
    )


def test_wait_when_all_is_well_is_nothing() -> None:
    world = World(ending={"migrate"}).up(guestbook())
    assert not world.plan(guestbook(), wait=True)


def test_wait_for_one_that_turned_unhealthy() -> None:
    world = World(ending={"migrate"}).up(guestbook()).change("app", health=Health.UNHEALTHY)
    expect(
        world.plan(guestbook(), wait=True),
        """
        shop: 1 action
           1  wait  until service app is running or healthy  --wait
        """,
    )


def test_create_starts_nothing() -> None:
    stack = guestbook()
    expect(
        World().pull(stack).plan(stack, "create"),
        """
        shop: 6 actions
           1  create  network shop_default      db, migrate, app and web use it
           2  create  volume shop_data          db mounts it
           3  create  container shop-db-1       no container yet  after 1, 2
           4  create  container shop-migrate-1  no container yet  after 1
           5  create  container shop-app-1      no container yet  after 1
           6  create  container shop-web-1      no container yet  after 1
        """,
    )


def test_up_after_create() -> None:
    stack = make_stack({"web": {}})
    expect(
        World().pull(stack).run(stack, "create").plan(stack),
        """
        shop: 1 action
           1  start  container shop-web-1  created but never started
        """,
    )


def test_container_name() -> None:
    stack = make_stack({"web": {"container_name": "front"}})
    expect(
        World().pull(stack).plan(stack),
        """
        shop: 3 actions
           1  create  network shop_default  web uses it
           2  create  container front       no container yet  after 1
           3  start   container front       new               after 2
        """,
    )


def test_container_name_cannot_be_scaled() -> None:
    stack = make_stack({"web": {"container_name": "front"}})
    with pytest.raises(PlanRefused, match="cannot scale service web to 2: its container_name 'front'"):
        World().pull(stack).plan(stack, scale={"web": 2})


def test_unknown_service() -> None:
    stack = make_stack({"web": {}})
    with pytest.raises(UsageError, match="cannot start service wbe: there is no such service") as caught:
        World().plan(stack, "up", "wbe")
    assert caught.value.hint == "did you mean web?"


def test_service_of_an_inactive_profile_is_started_when_named() -> None:
    debug = {"name": "debug", "image": "debug", "profiles": ["dev"], "networks": {"default": None}}
    stack = make_stack({"web": {}}, disabled={"debug": debug})
    world = World(images={"debug": "sha256:1"}).pull(stack)
    expect(
        world.plan(stack),
        """
        shop: 3 actions
           1  create  network shop_default  web uses it
           2  create  container shop-web-1  no container yet  after 1
           3  start   container shop-web-1  new               after 2
        """,
    )
    observed_images = {"web": "sha256:1", "debug": "sha256:2"}
    world.images = observed_images
    plan = world.plan(stack, "up", "debug")
    assert [action.id for action in plan][-1] == "start shop-debug-1"


def test_containers_of_inactive_profiles_are_no_orphans() -> None:
    debug = {"name": "debug", "image": "debug", "profiles": ["dev"], "networks": {"default": None}}
    world = World().up(make_stack({"web": {}, "debug": {}}))
    assert not world.plan(make_stack({"web": {}}, disabled={"debug": debug})).notices


def test_orphans_are_told() -> None:
    world = World().up(make_stack({"web": {}, "old": {"scale": 2}}))
    expect(
        world.plan(make_stack({"web": {}})),
        """
        shop: nothing to do
          ! shop-old-1 and shop-old-2: of no service in the stack file; remove with --remove-orphans
        """,
    )


def test_orphans_are_removed_before_their_port_is_taken() -> None:
    ports = {"ports": [{"target": 80, "published": "8080"}]}
    world = World().up(make_stack({"old": ports}))
    stack = make_stack({"new": ports})
    expect(
        world.pull(stack).plan(stack, remove_orphans=True),
        """
        shop: 4 actions
           1  create  container shop-new-1  no container yet
           2  stop    container shop-old-1  service old is not in the stack file
           3  start   container shop-new-1  new                                   after 1, 2
           4  remove  container shop-old-1  service old is not in the stack file  after 2
        """,
    )


def test_shared_namespace_comes_after_its_owner() -> None:
    stack = make_stack({"app": {"network_mode": "service:vpn"}, "vpn": {}})
    expect(
        World().pull(stack).plan(stack),
        """
        shop: 5 actions
           1  create  network shop_default  vpn uses it
           2  create  container shop-vpn-1  no container yet  after 1
           3  start   container shop-vpn-1  new               after 2
           4  create  container shop-app-1  no container yet  after 2
           5  start   container shop-app-1  new               after 3, 4
        """,
    )


def test_missing_external_network() -> None:
    stack = make_stack({"web": {"networks": {"edge": None}}}, networks={"edge": {"name": "edge", "external": True}})
    with pytest.raises(PlanRefused, match="cannot start web: network edge is declared external but does not exist"):
        World().pull(stack).plan(stack)


def test_external_network_is_used() -> None:
    stack = make_stack({"web": {"networks": {"edge": None}}}, networks={"edge": {"name": "edge", "external": True}})
    world = World(networks={"edge": ObservedNetwork("edge", "edge", "e1", "", {}, external=True)}).pull(stack)
    expect(
        world.plan(stack),
        """
        shop: 2 actions
           1  create  container shop-web-1  no container yet
           2  start   container shop-web-1  new  after 1
        """,
    )


def test_missing_external_volume() -> None:
    stack = make_stack(
        {"db": {"volumes": [volume("data", "/data")]}}, volumes={"data": {"name": "data", "external": True}}
    )
    with pytest.raises(PlanRefused, match="volume data is declared external but does not exist"):
        World().pull(stack).plan(stack)


def test_provider_has_no_containers() -> None:
    stack = make_stack({"web": {"depends_on": needs("cloud")}, "cloud": {"provider": {"type": "x"}}})
    plan = World().pull(stack).plan(stack)
    assert [action.id for action in plan] == ["create network shop_default", "create shop-web-1", "start shop-web-1"]


def test_containers_of_another_file_are_no_orphans() -> None:
    world = World().up(make_stack({"web": {}, "old": {}})).change("old", files=("/shop/b.yaml",))
    assert not world.plan(make_stack({"web": {}}, files=("/shop/a.yaml",))).notices
    plan = world.plan(make_stack({"web": {}}, files=("/shop/a.yaml",)), remove_orphans=True)
    assert not list(plan)
    assert [notice.text for notice in plan.notices] == [
        "what another stack file of this project has made stays; to remove it: stackup -p shop -f /shop/b.yaml down",
    ]
    assert world.plan(make_stack({"web": {}}, files=("/shop/a.yaml", "/shop/b.yaml"))).notices


def vpn_chain():
    """gate <- vpn <- app: each lives in the network of the one before."""
    return make_stack(
        {"gate": {"image": "x"}, "vpn": {"network_mode": "service:gate"}, "app": {"network_mode": "service:vpn"}}
    )


def test_owner_of_namespaces_starts_with_its_guests() -> None:
    """``up gate``, after an ``up`` that was cut short: vpn was never started, app runs in what it had before."""
    stack = vpn_chain()
    world = World().up(stack).change("vpn", phase=Phase.CREATED, exit_code=None).change("gate", image_id="sha256:old")
    expect(
        world.plan(stack, "up", "gate"),
        """
        shop: 11 actions
           1  create  container shop-gate-1  image x changed: old -> x-1
           2  create  container shop-vpn-1   shares namespaces with gate, which is replaced  after 1
           3  create  container shop-app-1   shares namespaces with vpn, which is replaced   after 2
           4  stop    container shop-app-1   replaced                                        after 3
           5  stop    container shop-gate-1  replaced                                        after 4
           6  remove  container shop-gate-1  replaced                                        after 5
           7  start   container shop-gate-1  new                                             after 6
           8  remove  container shop-vpn-1   replaced                                        after 2
           9  start   container shop-vpn-1   new                                             after 7, 8
          10  remove  container shop-app-1   replaced                                        after 4
          11  start   container shop-app-1   new                                             after 9, 10
        """,
    )


def test_owner_that_was_not_asked_for_is_started_for_its_guest() -> None:
    """``up gate``: app lives in the processes of side, too, which has ended. The new one cannot start without it."""
    stack = make_stack({"gate": {}, "side": {}, "app": {"network_mode": "service:gate", "pid": "service:side"}})
    world = World().up(stack).change("side", phase=Phase.EXITED, exit_code=1).change("gate", image_id="sha256:old")
    expect(
        world.plan(stack, "up", "gate"),
        """
        shop: 9 actions
           1  create  container shop-gate-1  image gate changed: old -> gate-1
           2  create  container shop-app-1   shares namespaces with gate, which is replaced  after 1
           3  stop    container shop-app-1   replaced                                        after 2
           4  stop    container shop-gate-1  replaced                                        after 3
           5  remove  container shop-gate-1  replaced                                        after 4
           6  start   container shop-gate-1  new                                             after 5
           7  start   container shop-side-1  app lives in its namespaces                     after 3
           8  remove  container shop-app-1   replaced                                        after 3
           9  start   container shop-app-1   new                                             after 6, 7, 8
        """,
    )


def test_owner_of_namespaces_that_was_stopped_starts_with_a_restart_of_its_guest() -> None:
    stack = vpn_chain()
    world = World().up(stack).change("vpn", phase=Phase.EXITED, exit_code=0, stopped_by_user=True)
    expect(
        world.plan(stack, "restart", "app"),
        """
        shop: 3 actions
           1  stop   container shop-app-1  asked for
           2  start  container shop-vpn-1  app lives in its namespaces  after 1
           3  start  container shop-app-1  asked for                    after 2
        """,
    )


def test_containers_that_are_named_must_be_there() -> None:
    world = World()
    with pytest.raises(PlanRefused) as caught:
        world.plan(make_stack({"web": {"network_mode": "container:nope", "volumes_from": ["container:gone:ro"]}}))
    assert [error.about for error in (caught.value, *caught.value.details)] == [
        "services.web.network_mode",
        "services.web.volumes_from.0",
    ]
    assert "there is no container 'nope' in this project" in caught.value.message
    assert world.plan(make_stack({"db": {}, "web": {"network_mode": "container:shop-db-1"}}))


@pytest.mark.parametrize(("job", "told"), [({"restart": "always"}, 1), ({"restart": "on-failure"}, 0), ({}, 0)])
def test_waiting_for_what_never_completes(job: dict[str, Any], told: int) -> None:
    plan = World().up(make_stack({})).plan(make_stack({"job": job, "web": {"depends_on": completed("job")}}))
    told_of = [item.text for item in plan.notices if "can never be" in item.text]
    assert len(told_of) == told and all(text.startswith("web waits until job has completed") for text in told_of)
