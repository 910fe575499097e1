"""``up`` after the stack file, an image or the world has changed: what is replaced, why, and in which order."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from stackup.base.errors import PlanRefused
from stackup.model.observed import Phase
from stackup.model.plan import Plan
from stackup.model.stack import Stack
from stackup.planner import Answers
from stackup.planner.difference import differences
from tests.plans.texts import expect
from tests.plans.world import CHECKED, World, completed, healthy, make_stack, needs, volume


def pair(db: dict[str, Any] | None = None, web: dict[str, Any] | None = None, **top: Any) -> Stack:
    return make_stack({"db": {**CHECKED, **(db or {})}, "web": {"depends_on": healthy("db"), **(web or {})}}, **top)


def test_a_post_start_that_failed_is_run_again_with_its_container() -> None:
    stack = make_stack({"db": {}, "web": {}})
    world = World().up(stack)
    failed = "its post_start command `migrate` exited with code 5"
    world.change("db", unprepared=failed)
    expect(
        world.plan(stack),
        f"""
        shop: 2 actions
           1  stop   container shop-db-1  {failed}
           2  start  container shop-db-1  {failed}  after 1
        """,
    )
    world.change("db", phase=Phase.RESTARTING)
    assert not list(world.plan(stack))


def test_what_somebody_deleted_is_made_anew() -> None:
    stack = make_stack({"db": {"volumes": [volume("data", "/data")]}, "web": {}})
    world = World().up(stack)
    world.change("web", damage="its state directory was deleted")
    world.change("db", damage="the directory of volume shop_data was deleted")
    world.volumes["shop_data"] = replace(world.volumes["shop_data"], deleted=True)
    expect(
        world.plan(stack, no_recreate=True),
        """
        shop: 9 actions
           1  create  volume shop_data      its directory was deleted, and what was in it
           2  create  container shop-db-1   the directory of volume shop_data was deleted  after 1
           3  stop    container shop-db-1   replaced                                       after 2
           4  remove  container shop-db-1   replaced                                       after 3
           5  start   container shop-db-1   new                                            after 4
           6  create  container shop-web-1  its state directory was deleted
           7  stop    container shop-web-1  replaced                                       after 6
           8  remove  container shop-web-1  replaced                                       after 7
           9  start   container shop-web-1  new                                            after 8
        """,
    )


def test_a_variable() -> None:
    world = World().up(pair(web={"environment": {"DEBUG": "0"}}))
    expect(
        world.plan(pair(web={"environment": {"DEBUG": "1"}})),
        """
        shop: 4 actions
           1  create  container shop-web-1  config changed: environment.DEBUG: "0" -> "1"
           2  stop    container shop-web-1  replaced  after 1
           3  remove  container shop-web-1  replaced  after 2
           4  start   container shop-web-1  new       after 3
        """,
    )


def test_dependency_is_replaced_and_dependant_stays() -> None:
    world = World().up(pair())
    expect(
        world.plan(pair(db={"command": ["postgres", "-c", "fsync=off"]})),
        """
        shop: 4 actions
           1  create  container shop-db-1  config changed: command: added ["postgres", "-c", "fsync=off"]
           2  stop    container shop-db-1  replaced  after 1
           3  remove  container shop-db-1  replaced  after 2
           4  start   container shop-db-1  new       after 3
        """,
    )


def test_both_are_replaced_stop_in_reverse_order() -> None:
    world = World().up(pair())
    expect(
        world.plan(pair(db={"user": "70"}, web={"user": "33"})),
        """
        shop: 9 actions
           1  create  container shop-db-1          config changed: user: added "70"
           2  create  container shop-web-1         config changed: user: added "33"
           3  stop    container shop-web-1         replaced      after 1, 2
           4  stop    container shop-db-1          replaced      after 3
           5  remove  container shop-db-1          replaced      after 4
           6  start   container shop-db-1          new           after 5
           7  wait    until service db is healthy  web needs it  after 6
           8  remove  container shop-web-1         replaced      after 3
           9  start   container shop-web-1         new           after 7, 8
        """,
    )


def test_dependant_restarts_with_its_dependency() -> None:
    restart = {"depends_on": healthy("db", restart=True)}
    world = World().up(pair(web=restart))
    expect(
        world.plan(pair(db={"user": "70"}, web=restart)),
        """
        shop: 7 actions
           1  create  container shop-db-1          config changed: user: added "70"
           2  stop    container shop-web-1         db is replaced  after 1
           3  stop    container shop-db-1          replaced        after 2
           4  remove  container shop-db-1          replaced        after 3
           5  start   container shop-db-1          new             after 4
           6  wait    until service db is healthy  web needs it    after 5
           7  start   container shop-web-1         db is replaced  after 6
        """,
    )


def test_another_image_in_the_file() -> None:
    world = World().up(pair())
    stack = pair(web={"image": "nginx:2"})
    world.images["nginx:2"] = "sha256:aaaaaaaaaaaaaaaa"
    expect(
        world.plan(stack),
        """
        shop: 4 actions
           1  create  container shop-web-1  config changed: image: "web" -> "nginx:2"
           2  stop    container shop-web-1  replaced  after 1
           3  remove  container shop-web-1  replaced  after 2
           4  start   container shop-web-1  new       after 3
        """,
    )


def test_another_image_under_the_same_name() -> None:
    world = World().up(pair())
    world.images["web"] = "sha256:0123456789abcdef"
    expect(
        world.plan(pair()),
        """
        shop: 4 actions
           1  create  container shop-web-1  image web changed: web-1 -> 0123456789ab
           2  stop    container shop-web-1  replaced  after 1
           3  remove  container shop-web-1  replaced  after 2
           4  start   container shop-web-1  new       after 3
        """,
    )


def test_image_removed_while_its_container_runs() -> None:
    world = World().up(pair())
    world.images.clear()
    assert not world.plan(pair())


def test_many_changes_get_a_line_each() -> None:
    world = World().up(pair())
    web = {
        "environment": {"A": "1", "B": "2", "PASSWORD": "hush"},
        "ports": [{"target": 80, "published": "8080"}],
        "cap_add": ["NET_ADMIN"],
        "hostname": "web",
        "read_only": True,
    }
    expect(
        world.plan(pair(web=web)),
        """
        shop: 4 actions
           1  create  container shop-web-1  config changed: 7 keys
                      cap_add: added ["NET_ADMIN"]
                      environment.A: added "1"
                      environment.B: added "2"
                      environment.PASSWORD: added
                      hostname: added "web"
                      ports.80/tcp: added {"published": "8080", "target": 80}
                      read_only: added true
           2  stop    container shop-web-1  replaced  after 1
           3  remove  container shop-web-1  replaced  after 2
           4  start   container shop-web-1  new       after 3
        """,
    )


def test_all_changes_are_in_the_data() -> None:
    world = World().up(pair())
    many = {f"V{number}": "x" * 200 for number in range(8)}
    plan = world.plan(pair(web={"environment": {**many, "PASSWORD": "hush"}}))
    created = plan.actions[0]
    assert created.changes == (
        "environment.PASSWORD: added",
        *(f'environment.{key}: added "{many[key]}"' for key in many),
    )
    assert created.to_dict()["changes"] == list(created.changes)
    assert len(created.shown) == len(created.changes)
    assert all(len(line) < 90 for line in created.shown)
    assert Plan.from_dict(plan.to_dict()) == plan
    assert all("changes" not in action.to_dict() for action in plan.actions[1:])


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (
            ["sh", "-c", "exec httpd -f -h /srv/www -u nobody -r 'a realm with a name' -c /etc/httpd.conf -p 8080 -v"],
            ["sh", "-c", "exec httpd -f -h /srv/www -u nobody -r 'a realm with a name' -c /etc/httpd.conf -p 9090 -v"],
            'command: ... /etc/httpd.conf -p 8080 -v"] -> ... /etc/httpd.conf -p 9090 -v"]',
        ),
        (
            ["a" * 100, "b"],
            ["a" * 100, "c" * 80],
            f'command: ... "b"] -> ... "{"c" * 55} ...',
        ),
        (["x" * 70], ["y" * 70], f'command: ["{"x" * 54} ... -> ["{"y" * 54} ...'),
        (["x" * 70], ["x" * 71], f'command: ... {"x" * 20}"] -> ... {"x" * 21}"]'),
    ],
    ids=["in-the-middle", "no-words", "at-the-beginning", "longer"],
)
def test_long_values_are_shown_where_they_differ(old: list[str], new: list[str], shown: str) -> None:
    world = World().up(pair(web={"command": old}))
    created = world.plan(pair(web={"command": new})).actions[0]
    assert created.reason == f"config changed: {shown}"
    assert created.changes == (f"command: {json.dumps(old)} -> {json.dumps(new)}",)


def test_an_image_in_a_value_is_no_image_that_has_changed() -> None:
    world = World().up(pair(web={"environment": {"NOTE": "base image: old"}}))
    world.images["web"] = "sha256:0123456789abcdef"
    plan = world.plan(pair(web={"environment": {"NOTE": "base image: new"}}))
    assert plan.actions[0].reason.endswith('"base image: new"; image web changed: web-1 -> 0123456789ab')


def test_credentials_are_not_shown() -> None:
    world = World().up(pair(db={"environment": {"POSTGRES_PASSWORD": "old"}}))
    plan = world.plan(pair(db={"environment": {"POSTGRES_PASSWORD": "new"}}))
    assert plan.actions[0].reason == "config changed: environment.POSTGRES_PASSWORD: another value"


@pytest.mark.parametrize(
    "change",
    [
        {"build": {"context": "/src"}, "image": "web"},
        {"pull_policy": "missing"},
        {"scale": 1},
        {"deploy": {"replicas": 1}},
        {"deploy": {"update_config": {"parallelism": 2}}},
        {"profiles": ["dev"]},
        {"depends_on": {}},
        {"develop": {"watch": [{"path": "/src", "action": "rebuild"}]}},
        {"attach": False},
        {"x-note": "hello"},
    ],
)
def test_what_does_not_matter_to_a_container(change: dict[str, Any]) -> None:
    world = World().up(pair())
    assert not world.plan(pair(web=change))


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ({"environment": {"A": "1"}}, {}, "environment.A: removed"),
        ({}, {"environment": {"A": None}}, "environment.A: added"),
        ({"hostname": "a"}, {}, "hostname: removed"),
        ({"command": ["a"]}, {"command": ["a", "b"]}, 'command: ["a"] -> ["a", "b"]'),
        (
            {"volumes": [{"type": "bind", "source": "/a", "target": "/x"}]},
            {"volumes": [{"type": "bind", "source": "/b", "target": "/x"}]},
            'volumes./x.source: "/a" -> "/b"',
        ),
        ({"networks": {"default": None}}, {"networks": {"default": {"priority": 3}}}, "networks.default"),
    ],
)
def test_reasons(before: dict[str, Any], after: dict[str, Any], reason: str) -> None:
    world = World().up(make_stack({"web": before}))
    plan = world.plan(make_stack({"web": after}))
    assert plan.actions[0].reason.startswith(f"config changed: {reason}")


def test_inline_config_content_counts() -> None:
    def with_content(text: str) -> Stack:
        configs = {"app": {"name": "shop_app", "content": text}}
        return make_stack({"web": {"configs": [{"source": "app"}]}}, configs=configs)

    world = World().up(with_content("a"))
    assert not world.plan(with_content("a"))
    assert world.plan(with_content("b")).actions[0].reason.startswith("config changed: files.config app: ")


def test_force_recreate() -> None:
    expect(
        World().up(pair()).plan(pair(), force_recreate=True),
        """
        shop: 9 actions
           1  create  container shop-db-1          --force-recreate
           2  create  container shop-web-1         --force-recreate
           3  stop    container shop-web-1         replaced      after 1, 2
           4  stop    container shop-db-1          replaced      after 3
           5  remove  container shop-db-1          replaced      after 4
           6  start   container shop-db-1          new           after 5
           7  wait    until service db is healthy  web needs it  after 6
           8  remove  container shop-web-1         replaced      after 3
           9  start   container shop-web-1         new           after 7, 8
        """,
    )


def test_force_recreate_of_one_service_leaves_what_it_needs() -> None:
    plan = World().up(pair()).plan(pair(), "up", "web", force_recreate=True)
    assert {action.service for action in plan} == {"web"}  # type: ignore[attr-defined]


def test_always_recreate_deps() -> None:
    plan = World().up(pair()).plan(pair(), "up", "web", always_recreate_deps=True)
    assert plan.actions[0].reason == "--always-recreate-deps"
    assert {action.service for action in plan} == {"db"}  # type: ignore[attr-defined]


def test_no_recreate() -> None:
    world = World().up(pair()).change("web", phase=Phase.EXITED, exit_code=1)
    expect(
        world.plan(pair(web={"user": "33"}), no_recreate=True),
        """
        shop: 1 action
           1  start  container shop-web-1  it exited with code 1
        """,
    )


def test_anonymous_volumes_are_inherited() -> None:
    anonymous = {"volumes": [volume(None, "/data")]}
    world = World().up(make_stack({"db": anonymous}))
    before = dict(world.volumes)
    world.run(make_stack({"db": {**anonymous, "user": "70"}}))
    assert world.volumes == before
    assert [item.volumes for item in world.containers.values()] == [{"/data": next(iter(before))}]


def test_anonymous_volumes_renewed() -> None:
    anonymous = {"volumes": [volume(None, "/data")]}
    world = World().up(make_stack({"db": anonymous}))
    before = set(world.volumes)
    world.run(make_stack({"db": {**anonymous, "user": "70"}}), renew_anonymous_volumes=True)
    assert len(world.volumes) == 1
    assert set(world.volumes) != before


def test_changed_network_is_made_anew_with_its_containers() -> None:
    world = World().up(pair())
    stack = pair(networks={"default": {"internal": True}})
    expect(
        world.plan(stack),
        """
        shop: 9 actions
           1  stop    container shop-web-1         network shop_default is made anew
           2  stop    container shop-db-1          network shop_default is made anew     after 1
           3  remove  network shop_default         config changed: internal: added true  after 2
           4  create  network shop_default         made anew                             after 3
           5  update  container shop-db-1          network shop_default is made anew     after 4
           6  start   container shop-db-1          network shop_default is made anew     after 5
           7  wait    until service db is healthy  web needs it                          after 6
           8  update  container shop-web-1         network shop_default is made anew     after 4
           9  start   container shop-web-1         network shop_default is made anew     after 7, 8
        """,
    )
    world.run(stack)
    assert not world.plan(stack)


def test_renamed_network() -> None:
    world = World().up(make_stack({"web": {}}))
    stack = make_stack({"web": {}}, networks={"default": {"name": "front"}})
    expect(
        world.plan(stack),
        """
        shop: 5 actions
           1  stop    container shop-web-1  network front is made anew
           2  remove  network shop_default  config changed: name: "shop_default" -> "front"  after 1
           3  create  network front         made anew                                        after 2
           4  update  container shop-web-1  network front is made anew                       after 3
           5  start   container shop-web-1  network front is made anew                       after 4
        """,
    )


def test_changed_network_takes_along_services_that_were_not_named() -> None:
    two = {"db": {"networks": {"back": None}}, "web": {"networks": {"back": None}}, "other": {}}
    world = World().up(make_stack(two))
    stack = make_stack(two, networks={"back": {"internal": True}})
    plan = world.plan(stack, "up", "db")
    assert {action.service for action in plan if hasattr(action, "service")} == {"db", "web"}


def test_changed_network_that_an_orphan_uses() -> None:
    world = World().up(make_stack({"web": {}, "old": {}}))
    stack = make_stack({"web": {}}, networks={"default": {"internal": True}})
    with pytest.raises(PlanRefused, match="cannot make shop_default anew: container shop-old-1 uses it"):
        world.plan(stack)
    world.run(stack, remove_orphans=True)
    assert not world.plan(stack)


def test_changed_network_of_what_shares_a_namespace() -> None:
    services = {"vpn": {}, "app": {"network_mode": "service:vpn"}}
    world = World().up(make_stack(services))
    stack = make_stack(services, networks={"default": {"internal": True}})
    expect(
        world.plan(stack),
        """
        shop: 7 actions
           1  stop    container shop-app-1  lives in the namespaces of vpn, which starts again
           2  stop    container shop-vpn-1  network shop_default is made anew     after 1
           3  remove  network shop_default  config changed: internal: added true  after 2
           4  create  network shop_default  made anew                             after 3
           5  update  container shop-vpn-1  network shop_default is made anew     after 4
           6  start   container shop-vpn-1  network shop_default is made anew     after 5
           7  start   container shop-app-1  lives in the namespaces of vpn, which starts again  after 6
        """,
    )


def test_network_that_was_left() -> None:
    world = World().up(make_stack({"web": {"networks": {"a": None, "b": None}}}))
    expect(
        world.plan(make_stack({"web": {"networks": {"a": None}}})),
        """
        shop: 4 actions
           1  create  container shop-web-1  config changed: networks.b: removed
           2  stop    container shop-web-1  replaced  after 1
           3  remove  container shop-web-1  replaced  after 2
           4  start   container shop-web-1  new       after 3
        """,
    )


def test_network_that_vanished() -> None:
    world = World().up(make_stack({"web": {}}))
    del world.networks["default"]
    expect(
        world.plan(make_stack({"web": {}})),
        """
        shop: 4 actions
           1  create  network shop_default  web uses it
           2  stop    container shop-web-1  network shop_default is another one than it was made with
           3  update  container shop-web-1  network shop_default is another one than it was made with  after 1, 2
           4  start   container shop-web-1  network shop_default is another one than it was made with  after 3
        """,
    )


def database(**options: Any) -> Stack:
    return make_stack({"db": {"volumes": [volume("data", "/data")]}}, volumes={"data": options})


def test_changed_volume_asks() -> None:
    world = World().up(database())
    expect(
        world.plan(database(driver_opts={"type": "tmpfs"})),
        """
        shop: 1 question waits for an answer
          ? volume shop_data no longer matches the stack file (driver_opts.type: added "tmpfs"). Make it anew? Its data would be lost (default: no)
        """,
    )


def test_changed_volume_after_yes() -> None:
    world = World().up(database())
    stack = database(driver_opts={"type": "tmpfs"})
    expect(
        world.plan(stack, answers=Answers({"remake volume shop_data": True})),
        """
        shop: 6 actions
           1  stop    container shop-db-1  replaced
           2  remove  container shop-db-1  replaced                       after 1
           3  remove  volume shop_data     config changed: driver_opts.type: added "tmpfs"; its data is given up  after 2
           4  create  volume shop_data     made anew                      after 3
           5  create  container shop-db-1  volume shop_data is made anew  after 4
           6  start   container shop-db-1  new                            after 5
        """,
    )


def test_changed_volume_after_no() -> None:
    world = World().up(database())
    expect(
        world.plan(database(labels={"tier": "db"}), answers=Answers({"remake volume shop_data": False})),
        """
        shop: nothing to do
          ! volume shop_data is kept although it no longer matches the stack file (labels.tier: added "db")
        """,
    )


@pytest.mark.parametrize(("options", "asked"), [({"labels": {"a": "b"}}, 0), ({"driver_opts": {"type": "tmpfs"}}, 1)])
def test_changed_volume_where_nobody_can_be_asked(options: dict[str, Any], asked: int) -> None:
    """What is only called another way is used as it is; another place is another volume."""
    plan = World().up(database()).plan(database(**options), answers=Answers(asks=False))
    assert (len(plan.questions), len(plan.notices), len(plan.actions)) == (asked, 1 - asked, 0)


def test_renamed_volume_is_a_new_one_beside_the_old() -> None:
    world = World().up(database())
    expect(
        world.plan(database(name="pgdata")),
        """
        shop: 5 actions
           1  create  volume pgdata        db mounts it
           2  create  container shop-db-1  volume at /data changed: shop_data -> pgdata  after 1
           3  stop    container shop-db-1  replaced                                      after 2
           4  remove  container shop-db-1  replaced                                      after 3
           5  start   container shop-db-1  new                                           after 4
        """,
    )


def test_shared_namespace_follows_its_owner() -> None:
    world = World().up(make_stack({"vpn": {}, "app": {"network_mode": "service:vpn"}}))
    expect(
        world.plan(make_stack({"vpn": {"user": "1"}, "app": {"network_mode": "service:vpn"}})),
        """
        shop: 8 actions
           1  create  container shop-vpn-1  config changed: user: added "1"
           2  create  container shop-app-1  shares namespaces with vpn, which is replaced  after 1
           3  stop    container shop-app-1  replaced                                       after 2
           4  stop    container shop-vpn-1  replaced                                       after 3
           5  remove  container shop-vpn-1  replaced                                       after 4
           6  start   container shop-vpn-1  new                                            after 5
           7  remove  container shop-app-1  replaced                                       after 3
           8  start   container shop-app-1  new                                            after 6, 7
        """,
    )


def test_shared_namespace_follows_even_when_not_named() -> None:
    world = World().up(make_stack({"vpn": {}, "app": {"network_mode": "service:vpn"}}))
    plan = world.plan(make_stack({"vpn": {"user": "1"}, "app": {"network_mode": "service:vpn"}}), "up", "vpn")
    assert "create shop-app-1" in [action.id for action in plan]


def test_shared_namespace_restarts_with_its_owner() -> None:
    stack = make_stack({"vpn": {}, "app": {"network_mode": "service:vpn"}})
    world = World().up(stack).change("vpn", phase=Phase.EXITED, exit_code=1)
    expect(
        world.plan(stack),
        """
        shop: 3 actions
           1  stop   container shop-app-1  lives in the namespaces of vpn, which starts again
           2  start  container shop-vpn-1  it exited with code 1  after 1
           3  start  container shop-app-1  lives in the namespaces of vpn, which starts again  after 2
        """,
    )


def test_volumes_from_follow() -> None:
    services = {"data": {"volumes": [volume(None, "/d")]}, "app": {"volumes_from": ["data:ro"]}}
    world = World().up(make_stack(services))
    plan = world.plan(make_stack({**services, "data": {"volumes": [volume(None, "/d")], "user": "1"}}))
    reasons = {action.id: action.reason for action in plan}
    assert reasons["create shop-app-1"] == "shares volumes with data, which is replaced"


def test_fixed_address_is_free_before_it_is_taken() -> None:
    def at(user: str) -> Stack:
        return make_stack({"web": {"user": user, "networks": {"default": {"ipv4_address": "10.9.0.5"}}}})

    expect(
        World().up(at("1")).plan(at("2")),
        """
        shop: 4 actions
           1  stop    container shop-web-1  replaced
           2  remove  container shop-web-1  replaced                          after 1
           3  create  container shop-web-1  config changed: user: "1" -> "2"  after 2
           4  start   container shop-web-1  new                               after 3
        """,
    )


def test_ports_change_hands() -> None:
    def ports(one: str, two: str) -> Stack:
        return make_stack(
            {
                "one": {"ports": [{"target": 80, "published": one}]},
                "two": {"ports": [{"target": 80, "published": two}]},
            }
        )

    expect(
        World().up(ports("8001", "8002")).plan(ports("8002", "8001")),
        """
        shop: 8 actions
           1  create  container shop-one-1  config changed: ports.80/tcp.published: "8001" -> "8002"
           2  stop    container shop-one-1  replaced  after 1
           3  remove  container shop-one-1  replaced  after 2
           4  create  container shop-two-1  config changed: ports.80/tcp.published: "8002" -> "8001"
           5  stop    container shop-two-1  replaced  after 4
           6  start   container shop-one-1  new       after 3, 5
           7  remove  container shop-two-1  replaced  after 5
           8  start   container shop-two-1  new       after 2, 7
        """,
    )


def test_unfinished_replacement_is_finished() -> None:
    old, new = make_stack({"web": {"user": "1"}}), make_stack({"web": {"user": "2"}})
    world = World().up(old)
    plan = world.plan(new)
    world.perform(type(plan)(plan.project, plan.actions[:1]), new)  # killed after the creation
    expect(
        world.plan(new),
        """
        shop: 3 actions
           1  stop    container shop-web-1  left over from an unfinished replacement
           2  remove  container shop-web-1  left over from an unfinished replacement  after 1
           3  start   container shop-web-1  created but never started                 after 2
        """,
    )


def test_removal_that_was_begun() -> None:
    stack = make_stack({"web": {}})
    world = World().up(stack).change("web", phase=Phase.REMOVING)
    expect(
        world.plan(stack),
        """
        shop: 3 actions
           1  remove  container shop-web-1  its removal was begun before
           2  create  container shop-web-1  no container yet
           3  start   container shop-web-1  new  after 1, 2
        """,
    )


def test_one_shot_is_replaced_and_runs_again() -> None:
    def stack(tag: str) -> Stack:
        services = {"migrate": {"command": ["migrate", tag]}, "app": {"depends_on": completed("migrate")}}
        return make_stack(services)

    world = World(ending={"migrate"}).up(stack("1"))
    expect(
        world.plan(stack("2")),
        """
        shop: 3 actions
           1  create  container shop-migrate-1  config changed: command: ["migrate", "1"] -> ["migrate", "2"]
           2  remove  container shop-migrate-1  replaced  after 1
           3  start   container shop-migrate-1  new       after 2
        """,
    )


def test_started_dependency_below_an_unchanged_one() -> None:
    def stack(user: str) -> Stack:
        services = {"a": {"depends_on": needs("b"), "user": user}, "b": {"depends_on": needs("c")}, "c": {}}
        return make_stack(services)

    world = World().up(stack("1")).change("c", phase=Phase.EXITED, exit_code=1)
    expect(
        world.plan(stack("2")),
        """
        shop: 5 actions
           1  start   container shop-c-1  it exited with code 1
           2  create  container shop-a-1  config changed: user: "1" -> "2"
           3  stop    container shop-a-1  replaced  after 2
           4  remove  container shop-a-1  replaced  after 3
           5  start   container shop-a-1  new       after 1, 4
        """,
    )


def test_restarted_owner_of_a_namespace_takes_its_guests_along_later() -> None:
    stack = make_stack({"vpn": {}, "app": {"network_mode": "service:vpn"}})
    world = World().up(stack).change("app", stale_namespaces=True)
    expect(
        world.plan(stack),
        """
        shop: 2 actions
           1  stop   container shop-app-1  the container whose namespaces it shares has started again
           2  start  container shop-app-1  the container whose namespaces it shares has started again  after 1
        """,
    )


def test_stopped_service_that_was_not_named_is_connected_anew_but_stays_stopped() -> None:
    two = {"db": {}, "web": {}}
    world = World().up(make_stack(two)).run(None, "stop", "web")
    stack = make_stack(two, networks={"default": {"internal": True}})
    plan = world.plan(stack, "up", "db")
    assert "update shop-web-1" in [action.id for action in plan]
    assert "start shop-web-1" not in [action.id for action in plan]


def test_guest_of_a_container_that_goes_is_replaced() -> None:
    stack = make_stack({"vpn": {}, "app": {"network_mode": "service:vpn"}})
    world = World().up(stack).change("vpn", phase=Phase.REMOVING)
    reasons = {action.id: action.reason for action in world.plan(stack)}
    assert reasons["create shop-app-1"] == "shared namespaces with a container of vpn that is no more"


def test_what_is_added_is_said_with_its_value() -> None:
    old = make_stack({"web": {}})
    new = make_stack({"web": {"networks": {"default": {}, "n2": {}}, "logging": {"options": {"max-size": "1m"}}}})
    reasons = [action.reason for action in World().up(old).plan(new) if action.verb == "create"]
    assert 'config changed: logging.options: added {"max-size": "1m"}; networks.n2: added' in reasons
    assert differences({}, {"extra": {"PASSWORD": "s3cret"}})[0].in_full() == "extra.PASSWORD: added"
    assert differences({"extra": {}}, {"extra": {"login": {"PASSWORD": "s3cret"}}})[0].in_full() == "extra.login: added"
