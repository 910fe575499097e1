"""Only what carries the name of a build whose process is gone is an orphan's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackup.base.workroom import Workroom, new_name
from stackup.build import orphans as module
from stackup.build.orphans import Orphan, is_orphan, orphans
from stackup.network import traces as networks
from stackup.network.links import Link
from stackup.network.traces import Trace, joined


def owner(pid: int, start: int) -> str:
    return f"build.{pid}-{start}-0123456789ab"


def test_a_room_tells_its_maker(tmp_path: Path) -> None:
    with Workroom(tmp_path).directory() as room:
        pid, start, _ = room.name.split("-")
    assert (int(pid), int(start)) == (os.getpid(), module._start_of(os.getpid()))
    assert not is_orphan(f"build.{new_name()}")


def test_the_same_pid_with_another_start_time_is_another_process() -> None:
    start = module._start_of(os.getpid())
    assert not is_orphan(owner(os.getpid(), start))
    assert is_orphan(owner(os.getpid(), start + 1))
    assert is_orphan(owner(1 << 30, 5)), "no such process"
    assert is_orphan(f"{owner(1 << 30, 5)}@a1b2c3"), "as control groups carry it"


@pytest.mark.parametrize(
    "name",
    ["shop", "build", "build.12-ab", "build.1073741824-5", "network.edge", "shop@a1b2c3", "xbuild.9-9-0123456789ab"],
)
def test_nothing_else_ever_is(name: str) -> None:
    assert not is_orphan(name)


def test_what_belongs_together_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    dead, alive = owner(1 << 30, 5), f"build.{new_name()}"
    monkeypatch.setattr(module, "children", lambda group: (f"{dead}@a1b2c3", f"{alive}@a1b2c3", "shop", "shop@a1b2c3"))
    monkeypatch.setattr(networks, "links_present", lambda: True)
    monkeypatch.setattr(
        networks,
        "traces",
        lambda tables: (Trace("11", dead, ("skb1",)), Trace("22", alive, ("skb2",)), Trace("33", "shop", ("skb3",))),
    )
    assert orphans() == (Orphan(dead, (f"stackup/{dead}@a1b2c3",), "11"),)


def test_traces_are_joined_by_identity() -> None:
    links = [
        Link(1, "lo", "", "", 0, 0, True),
        Link(2, "skb1", "bridge", "stackup aa was=0,- shop default", 7, 0, True),
        Link(3, "skv1", "veth", "stackup aa 0123456789ab shop default", 7, 2, True),
        Link(4, "br0", "bridge", "somebody else's", 0, 0, True),
    ]
    tables = {"stackup_aa": "shop", "stackup_bb": "blog", "stackup_cc": ""}
    assert joined(links, tables) == (
        Trace("aa", "shop", ("skb1",), ("skv1",), "stackup_aa"),
        Trace("bb", "blog", table="stackup_bb"),
        Trace("cc", "", table="stackup_cc"),
    )
