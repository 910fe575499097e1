"""The store: imports in every form, names, removal, and what is left when something fails or dies."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from image_support import make_image, rootfs

from stackup.base.errors import ImageError, ImageNameError
from stackup.base.paths import Layout
from stackup.images.catalog import listed
from stackup.images.store import ImageStore
from stackup.oci import image as oci
from tests.support.archives import Archive

ROOTFS = Archive().directory("etc").add("etc/os-release", b"ID=toy\n").symlink("bin", "usr/bin").data()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q"], input=data, capture_output=True, check=True).stdout


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(Layout.at(tmp_path / "root"))


def bring(store: ImageStore, name: str = "toy:1", data: bytes = ROOTFS) -> str:
    return store.import_rootfs(io.BytesIO(data), name).id


@pytest.mark.parametrize(
    ("compress", "media_type"),
    [
        (bytes, oci.LAYER),
        (gzip.compress, oci.LAYER_GZIP),
        (lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]), oci.LAYER_GZIP),
        (lzma.compress, oci.LAYER),
        (bz2.compress, oci.LAYER),
        pytest.param(zstd, oci.LAYER_ZSTD, marks=pytest.mark.skipif(not shutil.which("zstd"), reason="no zstd")),
    ],
)
def test_import_of_every_compression(
    store: ImageStore, tmp_path: Path, compress: Callable[[bytes], bytes], media_type: str
) -> None:
    (tmp_path / "rootfs").write_bytes(compress(ROOTFS))
    image = store.import_rootfs(tmp_path / "rootfs", "toy:1")
    (layer,) = image.layers
    assert layer.media_type == media_type
    assert layer.diff_id == f"sha256:{hashlib.sha256(ROOTFS).hexdigest()}"
    assert (layer.path / "etc/os-release").read_text() == "ID=toy\n"
    assert store.resolve("toy:1") == image
    assert image.config.cmd == ("/bin/sh",)


def test_import_of_a_directory(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "tree/bin").mkdir(parents=True)
    (tmp_path / "tree/bin/sh").write_text("x")
    (tmp_path / "tree/bin/sh").chmod(0o755)
    (tmp_path / "tree/link").symlink_to("bin")
    settings = oci.ImageConfig(cmd=("run",), env=("A=1",))
    image = store.import_rootfs(tmp_path / "tree", "docker.io/library/toy", settings)
    assert image.config == settings
    assert os.access(image.layers[0].path / "bin/sh", os.X_OK)
    assert os.readlink(image.layers[0].path / "link") == "bin"
    assert store.import_rootfs(tmp_path / "tree", "again").layers == image.layers


def test_the_result_is_an_oci_layout(store: ImageStore) -> None:
    bring(store)
    root = store.layout.images
    assert json.loads((root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((root / "index.json").read_text())["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "docker.io/library/toy:1"}
    for path in (root / "blobs/sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_skopeo_reads_the_layout(store: ImageStore) -> None:
    image_id = bring(store, "ghcr.io/some/toy:1")
    source = f"oci:{store.layout.images}:ghcr.io/some/toy:1"
    answer = subprocess.run(["skopeo", "inspect", "--raw", source], capture_output=True, check=True)
    assert json.loads(answer.stdout)["config"]["digest"] == image_id


@pytest.mark.parametrize(
    ("name", "reason"),
    [("host", "built in"), ("scratch", "built in"), ("Toy", "lower case"), (f"a@sha256:{'0' * 64}", "digest")],
)
def test_names_that_cannot_be_given(store: ImageStore, name: str, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        bring(store, name)


def test_import_of_nothing(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        store.import_rootfs(tmp_path / "missing.tar", "x")
    with pytest.raises(ImageError, match="cut off"):
        bring(store, "x", gzip.compress(ROOTFS)[:-30])
    with pytest.raises(ImageError, match="not a tar archive"):
        bring(store, "x", b"x" * 2000)
    assert listed(store) == []


def test_resolving(store: ImageStore) -> None:
    image_id = bring(store)
    for reference in ("toy:1", "docker.io/library/toy:1", image_id, image_id[7:19]):
        image = store.resolve(reference)
        assert image and image.id == image_id
    digest = listed(store)[0].digest
    image = store.resolve(f"toy@{digest}")
    assert image and image.id == image_id
    assert store.resolve("toy") is None
    assert store.resolve("sha256:" + "0" * 64) is None
    with pytest.raises(ImageNameError, match="cannot use image reference") as caught:
        store.resolve("no good")
    assert caught.value.exit_code == 64


def test_names_move_and_old_images_stay_unnamed(store: ImageStore) -> None:
    first, second = bring(store), bring(store, data=Archive().add("other", b"x").data())
    assert first != second
    assert {(item.reference, item.id) for item in listed(store)} == {("toy:1", second), ("", first)}
    store.tag("toy:1", "toy:stable")
    assert {item.reference for item in listed(store) if item.id == second} == {"toy:1", "toy:stable"}
    store.tag(first, "toy:old")
    assert {item.reference for item in listed(store)} == {"toy:1", "toy:stable", "toy:old"}


def test_removal(store: ImageStore) -> None:
    image_id = bring(store)
    store.tag("toy:1", "toy:2")
    assert store.remove("toy:1") == ["untagged toy:1"]
    image = store.resolve("toy:2")
    assert image and image.layers[0].path.is_dir()
    assert store.remove("toy:2") == ["untagged toy:2", f"deleted {image_id}"]
    assert listed(store) == []
    assert os.listdir(store.blobs.directory) == []
    assert store.layers.diff_ids() == []
    with pytest.raises(ImageError, match="no such image"):
        store.remove("toy:2")


def test_removal_keeps_shared_layers(store: ImageStore) -> None:
    bring(store, "a:1")
    settings = oci.ImageConfig(cmd=("other",))
    store.import_rootfs(io.BytesIO(ROOTFS), "b:1", settings)
    store.remove("a:1")
    image = store.resolve("b:1")
    assert image
    store.materialize(image)
    assert (image.layers[0].path / "etc").is_dir()


def test_an_image_under_a_container_is_not_removed(store: ImageStore) -> None:
    bring(store)
    image = store.resolve("toy:1")
    assert image
    bundle = store.layout.project("p").container("c" * 64).state
    bundle.mkdir(parents=True)
    (bundle / "launch.json").write_text(
        json.dumps({"image_id": image.id, "overlays": [{"lowers": [str(image.layers[0].path)]}]})
    )
    with pytest.raises(ImageError, match="container cccccccccccc was made from it"):
        store.remove("toy:1")
    store.remove("toy:1", force=True)
    assert image.layers[0].path.is_dir()


def test_a_lost_unpacked_layer_is_made_again(store: ImageStore) -> None:
    bring(store)
    image = store.resolve("toy:1")
    assert image
    shutil.rmtree(image.layers[0].path)
    store.materialize(image)
    assert (image.layers[0].path / "etc/os-release").is_file()


def test_a_damaged_blob_is_noticed(store: ImageStore) -> None:
    bring(store)
    image = store.resolve("toy:1")
    assert image
    shutil.rmtree(image.layers[0].path)
    blob = store.blobs.path(image.layers[0].digest)
    data = bytearray(blob.read_bytes())
    data[600] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    with pytest.raises(ImageError):
        store.materialize(image)
    assert not image.layers[0].path.exists()
    config = store.blobs.path(image.id)
    config.chmod(0o644)
    config.write_bytes(b"{}")
    with pytest.raises(ImageError, match="does not match its digest"):
        store.resolve("toy:1")


def test_what_dead_processes_left_is_swept(store: ImageStore) -> None:
    bring(store)
    context = multiprocessing.get_context("fork")
    ready = context.Event()

    def half_an_unpack() -> None:
        with store.layers.workroom.directory() as path, store.blobs.workroom.file():
            (path / "half").mkdir()
            ready.set()
            os.kill(os.getpid(), 9)

    process = context.Process(target=half_an_unpack)
    process.start()
    assert ready.wait(10)
    process.join()
    with store.layers.workroom.directory() as alive:
        store.sweep()
        assert alive.is_dir()
        assert [path for path in store.layers.workroom.path.iterdir() if path.name != ".gate"] == [alive]
    assert [path.name for path in store.blobs.workroom.path.iterdir()] == [".gate"]


def test_many_processes_import_and_remove_at_once(store: ImageStore) -> None:
    context = multiprocessing.get_context("fork")

    def work(number: int) -> None:
        mine = ImageStore(store.layout)
        for turn in range(5):
            bring(mine, f"n{number}:{turn}", Archive().add(f"{turn}", b"x").data())
            bring(mine, "shared:1")
            if turn % 2:
                mine.remove(f"n{number}:{turn}")

    processes = [context.Process(target=work, args=(number,)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    named = {item.reference for item in listed(store) if item.reference}
    assert named == {"shared:1", *(f"n{number}:{turn}" for number in range(4) for turn in (0, 2, 4))}
    for summary in listed(store):
        image = store.resolve(summary.id)
        assert image
        store.materialize(image)


def test_image_of_several_layers_stacks_topmost_first(store: ImageStore, tmp_path: Path) -> None:
    bring(store, "a:1")
    bring(store, "b:1", Archive().add("b", b"").data())
    first, second = store.resolve("a:1"), store.resolve("b:1")
    assert first and second
    config = oci.ConfigFile(oci.Platform("amd64"))
    image = store.put_image((*first.layers, *second.layers), config, "both:1")
    (overlay,) = image.overlays(tmp_path / "w")
    assert overlay.lowers == (str(second.layers[0].path), str(first.layers[0].path))
    assert (overlay.upper, overlay.work) == (str(tmp_path / "w/upper.root"), str(tmp_path / "w/work.root"))
    assert not (tmp_path / "w").exists()
    assert image.overlays(None)[0].upper == ""
    assert store.put_image((), config).overlays(None)[0].lowers == (str(store.layers.empty),)


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


NOISE = bytes(range(256)) * 40


def gzipped(data: bytes) -> bytes:
    # The time of compression would be part of the test's name, and the workers of one run have to agree on names.
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"), (gzipped(b""), "it is empty"), (NOISE, "it is not a tar archive"),
        (b"short", "it is not a tar archive"), (b"PK\x03\x04" + NOISE, "it is not a tar archive but a zip archive"),
        (gzipped(NOISE), "it is not a tar archive"), (ROOTFS[:700], "the archive is cut off"),
        (cut(gzipped(ROOTFS)), "it is cut off"), (cut(lzma.compress(ROOTFS)), "it is cut off"),
        (cut(bz2.compress(ROOTFS)), "it is cut off"), (b"\x1f\x8b" + NOISE, "its gzip data is damaged"),
        (b"\xfd7zXZ\x00" + NOISE, "its xz data is damaged"), (b"BZh9" + NOISE, "its bzip2 data is damaged"),
        pytest.param(b"\x28\xb5\x2f\xfd" + NOISE, "its zstd data is damaged",
                     marks=pytest.mark.skipif(not shutil.which("zstd"), reason="no zstd")),
        (Archive().add("oci-layout", b"{}").add("index.json", b"{}").data(), "it is a saved image"),
    ],
)  # fmt: skip
def test_what_is_no_archive_of_a_root_file_system(store: ImageStore, tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "rootfs.tar"
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        store.import_rootfs(path, "toy:1")
    assert caught.value.message.startswith(f"cannot import {path}: {reason}")
    assert listed(store) == []
    assert list((store.layout.images / "blobs" / "sha256").glob("*")) == []
    assert store.layers.diff_ids() == []


def test_a_file_that_cannot_be_read(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot import /proc/self/mem: Input/output error"):
        store.import_rootfs(Path("/proc/self/mem"), "toy:1")


def test_the_beginning_of_an_id_is_enough_for_a_person(store: ImageStore) -> None:
    image = make_image(store, "toy:1", [rootfs()])
    digits = image.id.removeprefix("sha256:")
    for text in (digits[:3], f"sha256:{digits[:5]}", digits[:20], digits):
        found = store.pick(text)
        assert found is not None and store.id_of(found) == image.id
    assert store.pick(digits[:2]) is None and store.pick("nosuch") is None and store.pick("host") is None
    assert store.resolve(digits[:5]) is None  # a stack file's `image: abcde` is a name
    store.tag(digits[:5], "other")
    assert {item.reference for item in listed(store)} == {"toy:1", "other:latest"}
    named = make_image(store, digits[:3], [rootfs(), Archive().add("x", b"").data()])
    found = store.pick(digits[:3])
    assert found is not None and store.id_of(found) == named.id  # a name goes before


def test_of_an_id_that_several_images_begin_with_they_are_told(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackup.images.finding._ID_DIGITS", 1)
    for number in range(17):  # two of them share their first digit
        make_image(store, f"toy:{number}", [Archive().add("x", bytes([number])).data()])
    firsts = [item.id.removeprefix("sha256:")[0] for item in listed(store)]
    digit = next(text for text in firsts if firsts.count(text) > 1)
    with pytest.raises(ImageError, match=f"cannot use '{digit}': the ids of several images begin so: {digit}"):
        store.pick(digit)
