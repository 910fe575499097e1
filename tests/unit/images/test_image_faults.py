"""kill -9 while images are brought in and taken away: the store stays whole, nothing leaks, a repeat works."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from image_support import make_image, new_store, rootfs

from stackup.images import saving
from stackup.images.catalog import listed
from stackup.images.loading import load
from stackup.images.pruning import prune
from stackup.images.store import ImageStore
from stackup.images.verifying import Verifier
from tests.support.archives import Archive

STEPS = ("rename", "replace", "mkdir", "link", "write", "unlink", "fsync")  # what leaves a trace on the disk


def dying_at(number: int, work: Callable[[], object]) -> bool:
    """Does the work in a process of its own, which is killed right before its n-th step; False when it had fewer."""

    def child() -> None:
        count = 0

        def counted(step: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return step(*args, **options)

            return call

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        work()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.fixture
def packed(tmp_path: Path) -> bytes:
    store = new_store(tmp_path / "source")
    layers = [rootfs(), gzip.compress(Archive().directory("d").add("d/f", b"x").hardlink("d/h", "d/f").data())]
    make_image(store, "toy:1", layers)
    return b"".join(saving.archive(store, ["toy:1"], saving.DOCKER_ARCHIVE))


def assert_empty(store: ImageStore) -> None:
    assert listed(store) == []
    assert list(store.blobs.directory.glob("*")) == []
    assert list(store.index.root.glob(".*.tmp")) == []
    assert store.layers.diff_ids() == []
    for room in (store.blobs.workroom, store.layers.workroom):
        assert [path.name for path in room.path.glob("*") if path.name != ".gate"] == []


def assert_whole(store: ImageStore) -> None:
    image = store.resolve("toy:1")
    assert image is not None
    store.materialize(image)
    assert (image.layers[1].path / "d/h").read_bytes() == b"x"
    assert Verifier(store).run() == []


def test_load_killed_anywhere(tmp_path: Path, packed: bytes) -> None:
    store = new_store(tmp_path / "root")
    number = -1
    while dying_at(number := number + 2, lambda: load(store, io.BytesIO(packed))):
        if listed(store):  # it was done but for the tidying up
            assert_whole(store)
        prune(store, named=True)
        assert_empty(store)
    assert number > 20
    assert_whole(store)


def test_load_again_after_being_killed_needs_no_tidying_up(tmp_path: Path, packed: bytes) -> None:
    store = new_store(tmp_path / "root")
    for number in range(5, 40, 7):
        dying_at(number, lambda: load(store, io.BytesIO(packed)))
    load(store, io.BytesIO(packed))
    assert_whole(store)
    store.remove("toy:1")
    store.sweep()
    assert_empty(store)


def test_removing_and_pruning_killed_anywhere(tmp_path: Path, packed: bytes) -> None:
    store = new_store(tmp_path / "root")
    number = 0
    alive = True
    while alive:
        number += 1
        load(store, io.BytesIO(packed))
        alive = dying_at(number, [lambda: store.remove("toy:1"), lambda: prune(store, named=True)][number % 2])
        if listed(store):
            assert_whole(store)
        prune(store, named=True)
        assert_empty(store)
    assert number > 5


def test_saving_killed_anywhere(tmp_path: Path, packed: bytes) -> None:
    """A directory has an image's name only when it has all of the image; a repeat finishes it."""
    store = new_store(tmp_path / "root")
    load(store, io.BytesIO(packed))
    target, number = tmp_path / "layout", 0
    while dying_at(number := number + 1, lambda: saving.to_directory(store, ["toy:1"], target)):
        if (target / "index.json").exists():
            load(new_store(tmp_path / f"copy{number}"), target)
    assert load(new_store(tmp_path / "copy"), target)[0].names == ("toy:1",)
    files = {path.name for path in target.iterdir()}
    assert files == {"blobs", "index.json", "oci-layout"}
    assert len(list((target / "blobs/sha256").iterdir())) == 4
