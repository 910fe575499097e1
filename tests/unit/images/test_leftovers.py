"""What killed loads, imports and commits have left: counted, reclaimed, and not left to the next prune."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from image_support import make_image, new_store, rootfs

from stackup.base.workroom import new_name
from stackup.images import saving
from stackup.images.committing import commit
from stackup.images.diskuse import image_use
from stackup.images.loading import load
from stackup.images.pruning import prune
from stackup.images.store import ImageStore
from stackup.oci.image import ImageConfig

SIZE = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    made = new_store(tmp_path / "root")
    make_image(made, "toy:1", [rootfs()])
    return made


def leave(store: ImageStore) -> list[Path]:
    """A half blob and a half layer whose makers are dead: nobody holds a lock on them."""
    blob, layer = store.blobs.workroom.path / new_name(), store.layers.workroom.path / new_name()
    layer.mkdir(parents=True)
    blob.parent.mkdir(parents=True, exist_ok=True)
    for path in (blob, layer / "half"):
        path.write_bytes(b"x" * SIZE)
    return [blob, layer]


def test_they_are_counted_and_reclaimed(store: ImageStore) -> None:
    before = image_use(store)
    left = leave(store)
    use = image_use(store)
    for now, then in ((use.size, before.size), (use.reclaimable, before.reclaimable), (use.partial, before.partial)):
        assert now - then >= 2 * SIZE
    assert prune(store, named=False).collected.freed == use.partial
    assert not any(path.exists() for path in left)
    assert image_use(store).size == before.size


def test_those_that_are_alive_are_left_alone(store: ImageStore) -> None:
    with store.layers.workroom.directory() as path:
        (path / "half").write_bytes(b"x" * SIZE)
        assert image_use(store).partial == 0
        assert prune(store, named=False).collected.freed == 0
        assert path.is_dir()


def loading(store: ImageStore) -> None:
    load(store, io.BytesIO(b"".join(saving.archive(store, ["toy:1"], saving.DOCKER_ARCHIVE))))


def importing(store: ImageStore) -> None:
    store.import_rootfs(io.BytesIO(rootfs()), "other:1")


def committing(store: ImageStore) -> None:
    image = store.resolve("toy:1")
    assert image is not None
    commit(store, image.id, (), "other:1", ImageConfig())


@pytest.mark.parametrize("again", [loading, importing, committing])
def test_the_next_one_collects_them(store: ImageStore, again: Callable[[ImageStore], None]) -> None:
    left = leave(store)
    again(store)
    assert not any(path.exists() for path in left)
