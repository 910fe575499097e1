"""What a supervisor remembers of images: only what is still so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from stackup.base.paths import Layout
from stackup.engine.world import World
from stackup.images.store import ImageStore


def test_a_layer_that_was_deleted_is_unpacked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackup.images.fitness.check_kernel", lambda: None)
    source = tmp_path / "root"
    (source / "bin").mkdir(parents=True)
    layout = Layout.at(tmp_path / "state")
    store, nobody = ImageStore(layout), cast("Any", None)
    image = store.import_rootfs(source, "toy")
    world = World("shop", layout, layout.project("shop"), nobody, nobody, nobody, store, nobody)
    asyncio.run(world.materialize(image))
    store.layers.bury([image.layers[0].diff_id], lambda: "")
    assert not image.layers[0].path.exists()
    asyncio.run(world.materialize(image))
    assert (image.layers[0].path / "bin").is_dir()
