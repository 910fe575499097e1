"""What was changed behind stackup's back, to the plan that puts it right; and how patient it is."""

from __future__ import annotations

import pytest

from stackup.engine.drift import AT_ONCE, LONGEST_PAUSE, QUIET, Drift, Kind, Patience, Place, plan_repairs
from stackup.engine.innards import points_in

WEB, DB = Place("web", 1, "shop-web-1"), Place("db", 1, "shop-db-1")
PLACES = {"w": WEB, "d": DB}


def test_a_bridge_comes_before_the_links_in_it() -> None:
    bridge = Drift(Kind.BRIDGE, "skb1 is gone", network="default")
    links = [Drift(Kind.LINK, f"link skv{item} is not in its bridge", item, "default") for item in "wd"]
    plan = plan_repairs("shop", [bridge, *links], PLACES, {"default": "shop_default"})
    assert [(action.describe(), action.reason, action.after) for action in plan] == [
        ("restore network shop_default", "its bridge skb1 is gone", ()),
        ("reconnect container shop-web-1", "link skvw is not in its bridge", ("restore default",)),
        ("reconnect container shop-db-1", "link skvd is not in its bridge", ("restore default",)),
    ]


def test_one_repair_of_each_kind_for_a_container() -> None:
    drifts = [
        Drift(Kind.MOUNT, "/data was unmounted", "w", part="/data"),
        Drift(Kind.MOUNT, "its file hosts was removed", "w", part="/etc/hosts"),
        Drift(Kind.LIMIT, "memory.max was changed from 1 to 2", "w", part="/x/memory.max"),
    ]
    assert [(action.describe(), action.reason) for action in plan_repairs("shop", drifts, PLACES, {})] == [
        ("mount /data, /etc/hosts in container shop-web-1 again", "/data was unmounted; its file hosts was removed"),
        ("set the limits of container shop-web-1 again", "memory.max was changed from 1 to 2"),
    ]


@pytest.mark.parametrize(
    ("drift", "failed", "reason"),
    [
        (Drift(Kind.LOST_MOUNT, "/tmp was unmounted", "w", part="/tmp"), (), "/tmp was unmounted"),
        (Drift(Kind.LINK, "link x is gone", "w", "default"), ("w",), "link x is gone, and a repair has failed"),
    ],
)
def test_what_cannot_be_repaired_in_place_starts_again(drift: Drift, failed: tuple[str, ...], reason: str) -> None:
    limit = Drift(Kind.LIMIT, "pids.max was changed from max to 2", "d")
    plan = plan_repairs("shop", [drift, limit], PLACES, {"default": "shop_default"}, failed)
    assert [(action.describe(), action.reason) for action in plan] == [
        ("restart container shop-web-1", reason),
        ("set the limits of container shop-db-1 again", "pids.max was changed from max to 2"),
    ]


def test_a_wrong_limit_ends_nothing() -> None:
    limit = Drift(Kind.LIMIT, "pids.max was changed from max to 2", "d")
    plan = plan_repairs("shop", [limit], PLACES, {}, ["d"])
    assert [action.describe() for action in plan] == ["set the limits of container shop-db-1 again"]


def test_a_storm_is_met_with_patience() -> None:
    patience, now, pauses = Patience(), 1000.0, []
    for _ in range(14):
        pauses.append(patience.left("w link", now))
        now += pauses[-1]
        patience.repaired("w link", now)
    assert pauses[:AT_ONCE] == [0.0] * AT_ONCE
    assert pauses[AT_ONCE : AT_ONCE + 4] == [1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST_PAUSE
    assert patience.left("w mount", now) == 0.0
    patience.repaired("w link", now + LONGEST_PAUSE + QUIET)
    assert patience.left("w link", now + LONGEST_PAUSE + QUIET) == 0.0


def test_a_container_that_is_gone_is_forgotten() -> None:
    patience = Patience()
    for _ in range(AT_ONCE + 1):
        patience.repaired("w link", 5.0)
    assert patience.left("w link", 5.0) > 0
    patience.forget("w")
    assert patience.left("w link", 5.0) == 0.0


def test_mount_points_are_unescaped() -> None:
    info = "22 1 0:5 / / rw - overlay x rw\n23 22 0:6 / /a\\040b rw shared:1 - tmpfs tmpfs rw\n"
    assert points_in(info) == {"/", "/a b"}
