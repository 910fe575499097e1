"""``up`` after a change that needs no new container: what is changed in place, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from stackup.model.observed import Phase
from stackup.model.plan import UpdateContainer
from stackup.model.stack import Stack
from tests.plans.texts import expect
from tests.plans.world import CHECKED, World, healthy, make_stack, needs


def one(**service: Any) -> Stack:
    return make_stack({"web": service})


def port(published: str | None, target: int = 80, **more: Any) -> dict[str, Any]:
    return {"target": target, **({"published": published} if published else {}), **more}


def test_several_things_in_one_step() -> None:
    before = {"mem_limit": 1 << 20, "ports": [port("80")], "restart": "no"}
    after = {"mem_limit": 2 << 20, "ports": [port("81")], "restart": "always"}
    expect(
        World().up(one(**before)).plan(one(**after)),
        """
        shop: 1 action
           1  update  container shop-web-1  changed in place: mem_limit: 1048576 -> 2097152; ports.80/tcp.published: "80" -> "81"; restart: "no" -> "always"
        """,
    )


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ({"ports": [port("80")]}, {"ports": [port("80"), port("443", 443)]}, "ports.443/tcp: added"),
        ({"ports": [port("80")]}, {}, "ports.80/tcp: removed"),
        ({"ports": [port("80")]}, {"ports": [port("80", 8080)]}, "ports.80/tcp: removed; ports.8080/tcp: added"),
        ({"ports": [port(None)]}, {"ports": [port(None), port(None, 81)]}, "ports.81/tcp: added"),
        ({"labels": {"a": "1"}}, {"labels": {"a": "2"}}, 'labels.a: "1" -> "2"'),
        ({"mem_limit": 1}, {}, "mem_limit: removed"),
        ({"cpus": 1.5}, {"cpus": 2.0}, "cpus: 1.5 -> 2.0"),
        ({}, {"pids_limit": 20}, "pids_limit: added 20"),
        ({"cpuset": "0"}, {"cpuset": "0-1"}, 'cpuset: "0" -> "0-1"'),
        ({"deploy": {"resources": {"limits": {"cpus": 1}}}}, {}, "deploy.resources: removed"),
        ({}, {"deploy": {"restart_policy": {"condition": "any"}}}, "deploy.restart_policy: added"),
        ({"restart": "always"}, {}, "restart: removed"),
        ({}, CHECKED, "healthcheck.test: added"),
        (
            {**CHECKED},
            {"healthcheck": {"test": ["CMD", "false"]}},
            'healthcheck.test: ["CMD", "true"] -> ["CMD", "false"]',
        ),
        ({}, {"stop_grace_period": 3}, "stop_grace_period: added 3"),
        ({}, {"stackup": {"restart_when": ["unhealthy"]}}, "stackup.restart_when: added"),
        (
            {"networks": {"default": None}},
            {"networks": {"default": {"aliases": ["w"]}}},
            "networks.default.aliases: added",
        ),
    ],
)
def test_in_place(before: dict[str, Any], after: dict[str, Any], reason: str) -> None:
    world = World().up(one(**before))
    plan = world.plan(one(**after))
    assert [type(action) for action in plan] == [UpdateContainer]
    assert plan.actions[0].reason.startswith(f"changed in place: {reason}")
    world.perform(plan, one(**after))
    assert not world.plan(one(**after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"mem_limit": 1}, {"mem_limit": 2, "user": "33"}),
        ({}, {"mem_swappiness": 10}),
        ({}, {"deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}}}),
        ({"networks": {"a": None}}, {"networks": {"a": {"aliases": ["w"]}, "b": None}}),
        ({"ports": [port("80")]}, {"ports": [port("80", host_ip="127.0.0.1")]}),
        ({"network_mode": "host"}, {"network_mode": "host", "ports": [port("80")]}),
    ],
)
def test_a_new_container_all_the_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    plan = World().up(one(**before)).plan(one(**after))
    assert "create shop-web-1" in [action.id for action in plan]
    assert not any(isinstance(action, UpdateContainer) for action in plan)


def test_a_stopped_container_is_changed_and_started() -> None:
    world = World().up(one(mem_limit=1)).change("web", phase=Phase.EXITED, exit_code=1)
    expect(
        world.plan(one(mem_limit=2)),
        """
        shop: 2 actions
           1  update  container shop-web-1  changed in place: mem_limit: 1 -> 2
           2  start   container shop-web-1  it exited with code 1  after 1
        """,
    )


def test_no_recreate_changes_nothing_at_all() -> None:
    assert not World().up(one(mem_limit=1)).plan(one(mem_limit=2), no_recreate=True)


def test_force_recreate_recreates() -> None:
    plan = World().up(one(mem_limit=1)).plan(one(mem_limit=2), force_recreate=True)
    assert plan.actions[0].reason == "--force-recreate"


def test_an_image_that_is_gone_leaves_nothing_to_take_its_health_check_from() -> None:
    world = World().up(one(mem_limit=1))
    world.images.clear()
    assert [action.id for action in world.plan(one(mem_limit=2))][1] == "create shop-web-1"


def test_an_update_that_was_cut_short_is_finished() -> None:
    world = World().up(one(mem_limit=1)).change("web", updating=True)
    expect(
        world.plan(one(mem_limit=1)),
        """
        shop: 1 action
           1  update  container shop-web-1  an update of it was cut short
        """,
    )
    assert world.plan(one(mem_limit=2)).actions[0].reason == "changed in place: mem_limit: 1 -> 2"


def test_a_port_that_changes_hands_is_free_before_the_new_container_starts() -> None:
    def stack(web: str, **api: Any) -> Stack:
        return make_stack({"web": {"ports": [port(web)]}, "api": api})

    expect(
        World().up(stack("80")).plan(stack("81", ports=[port("80")], user="1")),
        """
        shop: 5 actions
           1  update  container shop-web-1  changed in place: ports.80/tcp.published: "80" -> "81"
           2  create  container shop-api-1  config changed: ports.80/tcp: added {"published": "80", "target": 80}; user: added "1"
           3  stop    container shop-api-1  replaced  after 2
           4  remove  container shop-api-1  replaced  after 3
           5  start   container shop-api-1  new       after 1, 4
        """,
    )


def test_waiting_for_a_health_check_that_came_in_place() -> None:
    def stack(**web: Any) -> Stack:
        return make_stack({"web": web, "app": {"depends_on": healthy("web") if web else needs("web")}})

    expect(
        World().up(stack()).plan(stack(**CHECKED), wait=True),
        """
        shop: 2 actions
           1  update  container shop-web-1                     changed in place: healthcheck.test: added ["CMD", "true"]
           2  wait    until service web is running or healthy  --wait  after 1
        """,
    )


def test_hash_of_another_version_replaces_nothing() -> None:
    plan = World().up(one()).change("web", config_hash="made by another version").plan(one())
    assert [action.reason for action in plan] == ["changed in place"]
