"""A full disk under the image store: a clear error, and everything that was there before is there afterwards."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackup.base.errors import ImageError
from stackup.base.paths import Layout
from stackup.images.catalog import listed
from stackup.images.loading import load
from stackup.images.pruning import prune
from stackup.images.saving import archive, to_file
from stackup.images.store import ImageStore
from stackup.images.verifying import Verifier
from tests.support.archives import Archive
from tests.support.mounting import unmounted

pytestmark = pytest.mark.root

SMALL = Archive().add("f", os.urandom(100_000)).data()
LARGE = Archive().add("f", os.urandom(2_000_000)).add("g", os.urandom(1_500_000)).data()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Six megabytes: room for the archive's blob, not for the blob and the unpacked layer."""
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", point], check=True)
    try:
        yield point
    finally:
        unmounted(point)


def test_import_and_load_onto_a_full_disk(disk: Path, tmp_path: Path) -> None:
    source = ImageStore(Layout.at(tmp_path / "source"))
    source.import_rootfs(io.BytesIO(LARGE), "large:1")
    to_file(archive(source, ["large:1"], "docker-archive"), tmp_path / "large.tar", source.layout)
    store = ImageStore(Layout.at(disk / "root"))
    store.import_rootfs(io.BytesIO(SMALL), "small:1")
    before = os.statvfs(disk).f_bavail
    full = rf"the disk is full: [0-9.]+ MiB of 6.0 MiB left on {disk}"

    with pytest.raises(ImageError, match=f"cannot import the archive: {full}") as caught:
        store.import_rootfs(io.BytesIO(LARGE), "large:1")
    assert "stackup system prune" in caught.value.hint
    with pytest.raises(ImageError, match=f"cannot load {tmp_path}/large.tar: {full}"):
        load(store, tmp_path / "large.tar")
    assert [item.reference for item in listed(store)] == ["small:1"]
    assert Verifier(store).run() == []
    assert before - os.statvfs(disk).f_bavail <= 16  # blocks: lock files and directories

    with pytest.raises(ImageError, match=f"cannot write {disk}/b.tar: {full}") as caught:
        to_file(archive(source, ["large:1"], "docker-archive"), disk / "a.tar", source.layout)
        to_file(archive(source, ["large:1"], "docker-archive"), disk / "b.tar", source.layout)
    assert [path.name for path in disk.glob("*.tar")] == ["a.tar"]
    assert not caught.value.hint  # the store is on another disk: nothing that is deleted there would help

    (disk / "filler").write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))
    with pytest.raises(ImageError, match=f"cannot tag 'small:1': {full}"):
        store.tag("small:1", "other:1")
    with pytest.raises(ImageError, match=f"cannot verify the images: {full}"):
        Verifier(store).run()
    assert [item.reference for item in listed(store)] == ["small:1"]
    prune(store, named=True)  # frees space where there is none
    (disk / "filler").unlink()
    load(store, io.BytesIO(b"".join(archive(_with_small(tmp_path), ["small:1"], "docker-archive"))))
    assert Verifier(store).run() == []


def _with_small(directory: Path) -> ImageStore:
    store = ImageStore(Layout.at(directory / "again"))
    store.import_rootfs(io.BytesIO(SMALL), "small:1")
    return store
