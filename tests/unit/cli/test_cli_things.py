"""What ``network`` and ``volume`` share, and what they print of what is recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cli_support import out, session

from stackup.base.errors import NotFound, PlanRefused, UsageError
from stackup.base.paths import Layout
from stackup.cli import things
from stackup.cli.registry import load
from stackup.engine.records import ContainerRecord, Definition, EndpointRecord, Records, State
from stackup.network.standalone import Standalone, StandaloneRecords
from stackup.volumes.store import VolumeStore


def definition(name: str, network: str = "", volume: str = "") -> Definition:
    return Definition(
        id=name.ljust(64, "0"),
        name=name,
        service="web",
        number=1,
        created_ns=1,
        config_hash="",
        config={},
        image="bb",
        image_id="",
        endpoints=(EndpointRecord("net", "n1", network),) if network else (),
        volumes={"/data": volume} if volume else {},
    )


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A project ``shop`` with a network of its own, a container in ``edge`` that mounts ``data``."""
    layout = Layout.at(tmp_path)
    records = Records(layout.project("shop").records)
    records.add_container(definition("shop-web-1", "edge", "data"), State("running"))
    state = {"name": "shop_default", "id": "b" * 64, "subnet": "172.18.0.0/16", "gateway": "172.18.0.1"}
    records.put_network("default", {"state": state, "config": {"labels": {"x": "y"}}, "external": False})
    records.close()
    edge = {"id": "a" * 64, "subnet": "172.17.0.0/16", "gateway": "172.17.0.1", "bridge": "skb1"}
    StandaloneRecords(layout).put(Standalone("edge", "2026-01-02T03:04:05Z", {"labels": {"a": "b"}}, edge))
    VolumeStore(layout).create("data", labels={"keep": "yes"})
    VolumeStore(layout).create("spare", options={"type": "tmpfs"})
    VolumeStore(layout).create("f" * 64, anonymous=True)
    return layout


def run(layout: Layout, verb: str, **given: object) -> str:
    """What the verb prints."""
    loaded, used = load(verb), session(layout)
    loaded.run(used, loaded.request(**given))
    return out(used)


def test_networks_are_listed_and_filtered(layout: Layout) -> None:
    assert run(layout, "network ls") == (
        "NETWORK ID     NAME           DRIVER   SCOPE\n"
        "aaaaaaaaaaaa   edge           bridge   local\n"
        "bbbbbbbbbbbb   shop_default   bridge   local\n"
    )
    for words, names in {
        ("name=ed",): ["edge"],
        ("label=a=b",): ["edge"],
        ("label=com.docker.compose.project=shop",): ["shop_default"],
        ("dangling=true",): ["shop_default"],
        ("dangling=0", "driver=bridge"): ["edge"],
        ("driver=overlay",): [],
        ("id=bbb",): ["shop_default"],
    }.items():
        found = run(layout, "network ls", filter=words, format="json")
        assert [json.loads(line)["Name"] for line in found.splitlines()] == names, words
    assert run(layout, "network ls", quiet=True, no_trunc=True).splitlines() == ["a" * 64, "b" * 64]


def test_a_network_is_shown_with_dockers_keys(layout: Layout) -> None:
    (found,) = json.loads(run(layout, "network inspect", names=("aaaa",)))
    assert found["Name"] == "edge"
    assert found["IPAM"]["Config"] == [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]
    assert (found["Labels"], found["Containers"]) == ({"a": "b"}, {})
    with pytest.raises(NotFound, match="cannot find network nix: there is no such network"):
        run(layout, "network inspect", names=("nix",))


def test_what_is_in_use_is_not_removed(layout: Layout) -> None:
    with pytest.raises(
        PlanRefused, match=r"remove network edge: container shop-web-1 \(running\) of project shop uses"
    ):
        run(layout, "network rm", names=("edge",))
    with pytest.raises(PlanRefused, match="remove network shop_default: it belongs to project shop"):
        run(layout, "network rm", names=("shop_default",))
    with pytest.raises(
        PlanRefused, match=r"remove volume data: container shop-web-1 \(running\) of project shop uses it"
    ):
        run(layout, "volume rm", names=("data",))
    with pytest.raises(PlanRefused, match="remove volume data"):
        run(layout, "volume rm", names=("data", "spare"))
    assert VolumeStore(layout).get("spare") is None, "the others are removed all the same"


def test_several_errors_are_one(layout: Layout) -> None:
    with pytest.raises(PlanRefused) as failure:
        run(layout, "volume rm", names=("data", "nix"))
    assert [type(item) for item in failure.value.details] == [NotFound]


def test_volumes(layout: Layout) -> None:
    assert run(layout, "volume ls", quiet=True).splitlines() == ["data", "f" * 64, "spare"]
    assert run(layout, "volume ls", filter=("dangling=true", "name=s")) == "DRIVER   VOLUME NAME\nlocal    spare\n"
    (found,) = json.loads(run(layout, "volume inspect", names=("data",)))
    assert (found["Labels"], found["Mountpoint"]) == ({"keep": "yes"}, str(layout.volumes / "data/_data"))
    assert run(layout, "volume create", name="data") == "data\n"
    with pytest.raises(PlanRefused, match="cannot create volume data: it exists already, with other options"):
        run(layout, "volume create", name="data", opt=("type=tmpfs",))
    run(layout, "volume create", name="new", opt=("type=tmpfs",), label=("a=b",))
    made = VolumeStore(layout).get("new")
    assert made is not None
    assert (made.options, made.labels) == ({"type": "tmpfs"}, {"a": "b"})


def test_pruning_takes_anonymous_volumes_and_asks(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    with pytest.raises(PlanRefused, match="cannot prune volumes: nobody is there to confirm it"):
        run(layout, "volume prune")
    assert run(layout, "volume prune", force=True).startswith("Deleted Volumes:\n" + "f" * 64)
    assert run(layout, "volume prune", force=True, all=True).splitlines()[1:2] == ["spare"]
    assert [item.name for item in VolumeStore(layout).list()] == ["data"]


def test_words() -> None:
    assert things.pairs("label", ("a=b", "c", "a=d=e")) == {"a": "d=e", "c": ""}
    with pytest.raises(UsageError, match="cannot filter by 'size': there is no such filter"):
        things.filters(("size=3",), ("name",))
    with pytest.raises(UsageError, match="dangling=maybe: it is true or false"):
        things.truth("dangling", ("maybe",))
    users = [("shop", ContainerRecord(definition(f"c{n}"), State("exited"))) for n in range(6)]
    assert things.users_text(users) == "containers c0 (exited), c1 (exited), c2 (exited) and 3 more of project shop"
