"""Volumes: records, first content, removal, and what a killed process leaves."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from stackup.base.errors import ContainerFault, StackFileError
from stackup.base.paths import Layout
from stackup.volumes import VolumeMount, VolumeStore


@pytest.fixture
def store(tmp_path: Path) -> VolumeStore:
    return VolumeStore(Layout.at(tmp_path))


def test_create_and_find(store: VolumeStore) -> None:
    made = store.create("p_data", project="p", key="data", config_hash="h", labels={"a": "b"})
    assert made.data.is_dir()
    assert store.get("p_data") == made
    assert store.create("p_data", project="other") == made
    assert store.exists("p_data") and not store.exists("x")
    assert made.mount == VolumeMount("bind", str(made.data))


def test_list_by_project(store: VolumeStore) -> None:
    assert store.list() == ()
    store.create("b", project="p")
    store.create("a", project="p")
    store.create("c")
    assert [volume.name for volume in store.list()] == ["a", "b", "c"]
    assert [volume.name for volume in store.list("p")] == ["a", "b"]


def test_anonymous_volumes(store: VolumeStore) -> None:
    one, two = store.create_anonymous(project="p"), store.create_anonymous(project="p")
    assert one.name != two.name and len(one.name) == 64
    assert one.anonymous and "com.docker.volume.anonymous" in one.labels


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "-x", "x" * 300])
def test_bad_names(store: VolumeStore, name: str) -> None:
    with pytest.raises(StackFileError, match="cannot use volume name"):
        store.create(name)


@pytest.mark.parametrize(
    ("options", "mount"),
    [
        ({"type": "none", "o": "bind", "device": "/srv/x"}, VolumeMount("bind", "/srv/x")),
        ({"type": "none", "o": "ro,rbind", "device": "/srv/x"}, VolumeMount("bind", "/srv/x", ("ro",))),
        ({"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=7"},
         VolumeMount("tmpfs", "tmpfs", ("size=1m", "uid=7"))),
        ({"type": "nfs", "o": "addr=10.0.0.1,rw", "device": ":/x"}, VolumeMount("nfs", ":/x", ("addr=10.0.0.1", "rw"))),
    ],
)  # fmt: skip
def test_driver_options(store: VolumeStore, options: dict[str, str], mount: VolumeMount) -> None:
    assert store.create("v", options=options).mount == mount
    assert not store.fill("v", lambda target: (target / "x").touch())


def test_first_content_only_into_an_empty_volume(store: VolumeStore) -> None:
    volume = store.create("v")
    inode = volume.data.stat().st_ino
    assert store.fill("v", lambda target: (target / "a").touch())
    assert not store.fill("v", lambda target: (target / "b").touch())
    assert os.listdir(volume.data) == ["a"]
    assert volume.data.stat().st_ino == inode, "another container may have it mounted"


def test_a_failed_first_content_leaves_the_volume_empty(store: VolumeStore) -> None:
    def fail(target: Path) -> None:
        (target / "half").touch()
        raise OSError("disk full")

    volume = store.create("v")
    with pytest.raises(OSError, match="disk full"):
        store.fill("v", fail)
    assert os.listdir(volume.data) == []
    assert store.fill("v", lambda target: (target / "a").touch())


def test_a_killed_first_content_is_done_again(store: VolumeStore) -> None:
    volume = store.create("v")

    def die(target: Path) -> None:
        (target / "half").touch()
        os.kill(os.getpid(), 9)

    process = multiprocessing.get_context("fork").Process(target=lambda: store.fill("v", die))
    process.start()
    process.join()
    assert os.listdir(volume.data) == ["half"]
    assert store.fill("v", lambda target: (target / "a").touch())
    assert os.listdir(volume.data) == ["a"]


def test_removal(store: VolumeStore) -> None:
    volume = store.create("v")
    (volume.data / "deep/er").mkdir(parents=True)
    (volume.data / "link").symlink_to("/etc")
    assert store.remove("v")
    assert not store.remove("v")
    assert store.get("v") is None
    assert store.sweep() == 0


def test_a_damaged_record(store: VolumeStore) -> None:
    volume = store.create("v")
    (volume.directory / "volume.json").write_text("{")
    with pytest.raises(ContainerFault, match="cannot read the record of volume 'v'"):
        store.get("v")
