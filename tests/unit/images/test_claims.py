"""Images between their looking up and the record of the container: nobody takes them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from image_support import make_image, new_store, rootfs

from stackup.base.errors import ImageError
from stackup.engine.reconciling import Reconciler
from stackup.images.claims import Claim
from stackup.images.pruning import prune
from stackup.images.store import ImageStore
from stackup.model.stack import Service, Stack
from stackup.planner import Desired, Verb


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return new_store(tmp_path / "root")


def named(store: ImageStore) -> set[str]:
    return {item.annotations.get("org.opencontainers.image.ref.name", "") for item in store.index.read().manifests}


def test_what_is_claimed_is_not_pruned(store: ImageStore) -> None:
    make_image(store, "idle", [rootfs("idle")])
    by_id = make_image(store, "", [rootfs("unnamed")])
    with Claim(store.layout, "project shop", ["redis:7", by_id.id, "Not A Name"]):
        image = make_image(store, "redis:7", [rootfs("redis")])  # brought in after it was claimed
        assert prune(store, named=True).gone[0] == "untagged idle:latest"
        assert named(store) == {"docker.io/library/redis:7", ""}
        assert image.layers[0].path.is_dir() and by_id.layers[0].path.is_dir()
    assert len(prune(store, named=True).gone) == 3
    assert not image.layers[0].path.exists()


def test_what_is_claimed_is_removed_by_force_only(store: ImageStore) -> None:
    make_image(store, "redis:7", [rootfs()])
    store.tag("redis:7", "other")
    with Claim(store.layout, "project shop", ["redis:7"]):
        assert store.remove("other") == ["untagged other:latest"]
        with pytest.raises(ImageError, match="'redis:7': project shop is about to make a container of it"):
            store.remove("redis:7")
        assert store.remove("redis:7", force=True)[0] == "untagged redis:7"


def test_a_claim_dies_with_its_maker(store: ImageStore) -> None:
    make_image(store, "redis:7", [rootfs()])
    left = store.layout.images / ".claims" / "0123"
    left.parent.mkdir()
    left.write_text('{"owner": "project shop", "references": ["redis:7"]}')
    assert prune(store, named=True).gone[0] == "untagged redis:7"
    assert not left.exists()
    left.touch()
    with Claim(store.layout, "project shop", []):
        assert not left.exists() and len(list(left.parent.iterdir())) == 1
    assert not list(left.parent.iterdir())


def test_a_change_claims_its_images_before_it_looks(store: ImageStore) -> None:
    make_image(store, "redis:7", [rootfs()])
    seen = []

    class Change(Reconciler):
        async def _claimed(self, *_given: Any) -> Any:
            seen.append(prune(store, named=True).gone)

    world = SimpleNamespace(layout=store.layout, project="shop")
    change = Change(cast("Any", world), cast("Any", None), cast("Any", None))
    stack = Stack(name="shop", services={"db": Service(name="db", image="redis:7")})
    asyncio.run(change.reconcile(Desired(Verb.UP, stack), None, cast("Any", None)))
    asyncio.run(change.reconcile(Desired(Verb.DOWN, stack), None, cast("Any", None)))
    assert [len(gone) for gone in seen] == [0, 2]
