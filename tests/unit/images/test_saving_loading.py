"""Images out of the store and into another: every format, pipes, several names, old archives, hostile ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_support import make_image, make_index, new_store, rootfs

from stackup.base.errors import ImageError
from stackup.base.paths import Layout
from stackup.images import saving
from stackup.images.catalog import listed
from stackup.images.loading import Loaded, load
from stackup.images.store import ImageStore, host_platform
from stackup.oci import image as oci
from tests.support.archives import Archive

HERE = host_platform()


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return new_store(tmp_path / "one")


@pytest.fixture
def other(tmp_path: Path) -> ImageStore:
    return new_store(tmp_path / "two")


def packed(store: ImageStore, *names: str, form: str = saving.DOCKER_ARCHIVE, platform: str = "") -> bytes:
    return b"".join(saving.archive(store, names, form, platform))


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {item.name: tar.extractfile(item).read() for item in tar if item.isfile()}  # type: ignore[union-attr]


def names(store: ImageStore) -> dict[str, str]:
    return {item.reference: item.id for item in listed(store)}


@pytest.mark.parametrize("form", [saving.DOCKER_ARCHIVE, saving.OCI_ARCHIVE, saving.OCI_DIRECTORY])
def test_there_and_back_again(store: ImageStore, other: ImageStore, tmp_path: Path, form: str) -> None:
    layers = [rootfs(), gzip.compress(Archive().add("etc/.wh.os-release", b"").add("new", b"x").data())]
    image = make_image(store, "toy:1", layers)
    store.tag("toy:1", "registry.example:5000/team/toy:stable")
    wanted = ["toy:1", "registry.example:5000/team/toy:stable"]
    if form == saving.OCI_DIRECTORY:
        saving.to_directory(store, wanted, tmp_path / "saved")
        loaded = load(other, tmp_path / "saved")
    else:
        data = packed(store, *wanted, form=form)
        assert data == packed(store, *wanted, form=form)
        assert ("manifest.json" in members(data)) is (form == saving.DOCKER_ARCHIVE)
        loaded = load(other, io.BytesIO(data))
    assert loaded == [Loaded(image.id, tuple(wanted))]
    assert names(other) == names(store)
    again = other.resolve("toy:1")
    assert again is not None and (again.digest, again.layers[0].diff_id) == (image.digest, image.layers[0].diff_id)
    assert (again.layers[1].path / "new").read_bytes() == b"x"
    assert not list(other.blobs.workroom.path.glob("*-*"))


def test_several_images_share_their_layers(store: ImageStore, other: ImageStore) -> None:
    make_image(store, "a", [rootfs(), Archive().add("a", b"a").data()])
    make_image(store, "b", [rootfs(), Archive().add("b", b"b").data()])
    data = packed(store, "a", "b")
    assert len([name for name in members(data) if name.startswith("blobs/")]) == 3 + 2 * 2
    assert {item.names for item in load(other, io.BytesIO(data))} == {("a:latest",), ("b:latest",)}
    listed = json.loads(members(data)["manifest.json"])
    assert [item["RepoTags"] for item in listed] == [["a:latest"], ["b:latest"]]
    assert all(name in members(data) for item in listed for name in (item["Config"], *item["Layers"]))


def test_an_image_saved_by_its_id_has_no_name(store: ImageStore, other: ImageStore) -> None:
    image = make_image(store, "toy:1", [rootfs()])
    data = packed(store, image.id)
    assert json.loads(members(data)["manifest.json"])[0]["RepoTags"] is None
    assert load(other, io.BytesIO(data)) == [Loaded(image.id, ())]
    assert [item.reference for item in listed(other)] == [""]


def damaged(store: ImageStore, digest: str) -> None:
    path = store.blobs.path(digest)
    path.chmod(0o644)
    path.write_bytes(b"?" * path.stat().st_size)


@pytest.mark.parametrize("form", saving.FORMATS)
def test_a_damaged_image_is_not_saved(store: ImageStore, tmp_path: Path, form: str) -> None:
    image = make_image(store, "toy:1", [rootfs()])
    damaged(store, image.layers[0].digest)
    with pytest.raises(ImageError, match=f"cannot save: blob {image.layers[0].digest} is damaged"):
        if form == saving.OCI_DIRECTORY:
            saving.to_directory(store, ["toy:1"], tmp_path / "saved")
        else:
            packed(store, "toy:1", form=form)
    assert not (tmp_path / "saved/index.json").exists()


def test_loading_mends_what_is_damaged(store: ImageStore, other: ImageStore) -> None:
    image = make_image(store, "toy:1", [rootfs()])
    data = packed(store, "toy:1")
    load(other, io.BytesIO(data))
    for digest in (image.layers[0].digest, image.digest, image.id):
        damaged(other, digest)
    load(other, io.BytesIO(data))
    assert packed(other, "toy:1") == data


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_loading_twice_changes_nothing(store: ImageStore, other: ImageStore, compress: type[bytes]) -> None:
    make_image(store, "toy:1", [rootfs()])
    data = compress(packed(store, "toy:1"))
    load(other, io.BytesIO(data))
    before = other.index.read()
    load(other, io.BytesIO(data))
    assert other.index.read() == before


def test_what_cannot_be_saved(store: ImageStore) -> None:
    image = make_image(store, "toy:1", [rootfs()])
    with pytest.raises(ImageError, match="cannot save 'nosuch': no such image"):
        packed(store, "nosuch")
    with pytest.raises(ImageError, match="cannot save 'host'"):
        packed(store, "host")
    with pytest.raises(ImageError, match="it is not for linux/riscv64"):
        packed(store, "toy:1", platform="linux/riscv64")
    store.blobs.path(image.layers[0].digest).unlink()
    with pytest.raises(ImageError, match="some of its content is missing"):
        packed(store, "toy:1")


def test_a_directory_takes_more_images_and_nothing_else(store: ImageStore, tmp_path: Path) -> None:
    make_image(store, "a", [rootfs()])
    make_image(store, "b", [rootfs("b")])
    saving.to_directory(store, ["a"], tmp_path / "layout")
    saving.to_directory(store, ["b"], tmp_path / "layout")
    index = oci.Index.from_json(json.loads((tmp_path / "layout/index.json").read_bytes()))
    assert [item.annotations[oci.REF_NAME] for item in index.manifests] == [
        "docker.io/library/a:latest", "docker.io/library/b:latest",
    ]  # fmt: skip
    (tmp_path / "other").mkdir()
    (tmp_path / "other/precious").write_text("")
    with pytest.raises(ImageError, match="neither empty nor an OCI image layout"):
        saving.to_directory(store, ["a"], tmp_path / "other")


def test_a_directory_on_another_file_system(store: ImageStore, other: ImageStore) -> None:
    image = make_image(store, "toy:1", [rootfs()])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as target:
        saving.to_directory(store, ["toy:1"], Path(target))
        assert load(other, Path(target)) == [Loaded(image.id, ("toy:1",))]


def test_a_file_is_whole_or_not_there(store: ImageStore, tmp_path: Path) -> None:
    def breaks() -> object:
        yield b"half"
        raise ImageError("cannot go on")

    (tmp_path / "old").write_bytes(b"old")
    with pytest.raises(ImageError):
        saving.to_file(breaks(), tmp_path / "old", store.layout)  # type: ignore[arg-type]
    assert (tmp_path / "old").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["old"]


def test_a_directory_is_no_place_for_an_archive(store: ImageStore, tmp_path: Path) -> None:
    make_image(store, "toy:1", [rootfs()])
    for target, reason in ((tmp_path, "it is a directory"), (tmp_path / "no/where", "No such file or directory")):
        with pytest.raises(ImageError, match=f"cannot write {target}: {reason}"):
            saving.to_file(saving.archive(store, ["toy:1"], saving.DOCKER_ARCHIVE), target, store.layout)


def test_a_killed_save_leaves_nothing(tmp_path: Path) -> None:
    def killed() -> Iterator[bytes]:
        yield b"half"
        os._exit(9)

    layout = Layout.at(tmp_path / "root")
    child = os.fork()
    if not child:
        saving.to_file(killed(), tmp_path / "saved", layout)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert list(tmp_path.iterdir()) == []
    saving.to_file([b"whole"], tmp_path / "saved", layout)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


# Several platforms


@pytest.mark.parametrize(
    ("platform", "chosen"),
    [
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/arm/v8", "linux/arm/v7"),
        ("linux/arm64/v8", "linux/arm64"),
        ("arm64", "linux/arm64"),
        ("linux/amd64/v2", "linux/amd64"),
        ("linux/amd64", "linux/amd64"),
    ],
)
def test_one_platform_of_several(store: ImageStore, other: ImageStore, platform: str, chosen: str) -> None:
    make_index(store, "docker.io/library/many:1", ["linux/arm/v6", "linux/arm/v7", "linux/arm64", "linux/amd64"])
    (loaded,) = load(other, io.BytesIO(packed(store, "many:1", platform=platform)))
    image = other.resolve(loaded.id)
    assert image is not None and (image.layers[0].path / "platform").read_text() == chosen


def test_an_index_stays_one_where_all_of_it_is_here(store: ImageStore, other: ImageStore) -> None:
    top = make_index(store, "docker.io/library/many:1", ["linux/s390x", f"linux/{HERE.architecture}"])
    load(other, io.BytesIO(packed(store, "many:1", form=saving.OCI_ARCHIVE)))
    image = other.resolve("many:1")
    assert image is not None and image.digest == top.digest
    with pytest.raises(ImageError, match="for linux/riscv64 here, only linux/s390x"):
        packed(store, "many:1", platform="linux/riscv64")
    load(other, io.BytesIO(packed(store, "many:1")), platform="linux/s390x")
    image = other.resolve("many:1")
    assert image is not None and str(image.platform) == "linux/s390x"


def test_of_a_half_index_the_half_is_saved(store: ImageStore, other: ImageStore) -> None:
    make_index(store, "docker.io/library/many:1", ["linux/s390x", f"linux/{HERE.architecture}"])
    index = oci.Index.from_json(store.blobs.read_json(store.index.read().manifests[0].digest))
    store.blobs.path(index.manifests[0].digest).unlink()
    load(other, io.BytesIO(packed(store, "many:1")))
    image = other.resolve("many:1")
    assert image is not None and image.digest == index.manifests[1].digest


# Archives that others write


def old_archive(*, repeat: bool = True) -> bytes:
    """As docker 1.10 to 24 wrote them: a layer that occurs twice is a link, names are in manifest.json only."""
    layer = rootfs()
    diff_id = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = json.dumps({
        "architecture": HERE.architecture, "os": "linux", "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id] * (2 if repeat else 1)},
    }).encode()  # fmt: skip
    name = hashlib.sha256(config).hexdigest()
    listed = [{"Config": f"{name}.json", "RepoTags": ["old:1", "old:latest"],
               "Layers": ["aa/layer.tar", *(["bb/layer.tar"] if repeat else [])]}]  # fmt: skip
    archive = Archive(tarfile.USTAR_FORMAT).directory("aa").add("aa/layer.tar", layer).add("aa/VERSION", b"1.0")
    archive.directory("bb").symlink("bb/layer.tar", "../aa/layer.tar").add(f"{name}.json", config)
    return archive.add("manifest.json", json.dumps(listed).encode()).add("repositories", b"{}").data()


def test_an_old_docker_archive(other: ImageStore, tmp_path: Path) -> None:
    (loaded,) = load(other, io.BytesIO(old_archive()))
    assert loaded.names == ("old:1", "old:latest")
    image = other.resolve("old:1")
    assert image is not None and len(image.layers) == 2 and image.config.cmd == ("sh",)
    assert other.blobs.has(image.id)
    blobs = {path.name for path in other.blobs.directory.iterdir()}
    assert len(blobs) == 3  # layer, configuration, manifest: what else the archive held is gone


def test_an_unpacked_docker_archive(other: ImageStore, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(old_archive(repeat=False))) as tar:
        tar.extractall(tmp_path / "dir", filter="fully_trusted")
    assert load(other, tmp_path / "dir")[0].names == ("old:1", "old:latest")


@pytest.mark.parametrize(
    ("annotation", "name"),
    [("latest", ""), ("1.27-alpine", ""), ("v2", ""), ("app", "app:latest"), ("app:2", "app:2"),
     ("q.io/a/b:3", "q.io/a/b:3")],
)  # fmt: skip
def test_names_that_other_tools_leave(store: ImageStore, other: ImageStore, annotation: str, name: str) -> None:
    """skopeo writes what was typed behind the last colon, a tag or a name; docker and podman write names."""
    make_image(store, "toy:1", [rootfs()])
    parts = members(packed(store, "toy:1", form=saving.OCI_ARCHIVE))
    index = json.loads(parts["index.json"])
    index["manifests"][0]["annotations"] = {oci.REF_NAME: annotation}
    parts["index.json"] = json.dumps(index).encode()
    archive = Archive()
    for path, data in parts.items():
        archive.add(f"./{path}", data)
    assert load(other, io.BytesIO(archive.data()))[0].names == ((name,) if name else ())


# What cannot be loaded


def broken(change: str, store: ImageStore) -> bytes:
    """The archive of an image with one thing wrong."""
    make_image(store, "toy:1", [rootfs()])
    parts = members(packed(store, "toy:1"))
    layer = max((name for name in parts if name.startswith("blobs/")), key=lambda name: len(parts[name]))
    match change:
        case "damaged blob":
            parts[layer] = parts[layer][:-1] + b"?"
        case "missing layer":
            del parts[layer]
        case "missing manifest":
            index = json.loads(parts["index.json"])
            del parts["blobs/sha256/" + index["manifests"][0]["digest"][7:]]
        case "index is no JSON":
            parts["index.json"] = b"{"
        case "deep index" | "deep list":
            parts["index.json" if change == "deep index" else "manifest.json"] = b"[" * 100_000
        case "index is no index":
            parts["index.json"] = b"[]"
        case "no image":
            parts["index.json"] = b'{"schemaVersion":2,"manifests":[]}'
        case "built-in name" | "impossible name":
            name = "host" if change.startswith("built") else "a//b"
            parts["index.json"] = parts["index.json"].replace(b"docker.io/library/toy:1", name.encode())
    archive = Archive()
    for name, data in parts.items():
        archive.add(name, data)
    return archive.data()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("damaged blob", "is damaged: its content is sha256:"),
        ("missing layer", "is missing"),
        ("missing manifest", "is missing"),
        ("index is no JSON", "cannot be read"),
        ("index is no index", "cannot be read"),
        ("deep index", "cannot be read: it is nested too deeply"),
        ("deep list", "is not JSON: it is nested too deeply"),
        ("no image", "there is no image in it"),
        ("built-in name", "the name is built in"),
        ("impossible name", "cannot use image reference"),
    ],
)
def test_broken_archives(store: ImageStore, other: ImageStore, change: str, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        load(other, io.BytesIO(broken(change, store)))
    assert_nothing(other)


def assert_nothing(store: ImageStore) -> None:
    assert listed(store) == []
    assert [path.name for path in store.blobs.directory.iterdir()] == []
    assert store.layers.diff_ids() == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no archive at all" * 100, "it is not a tar archive"),
        (b"", "it is empty"),
        (rootfs(), "there is no manifest.json"),
        (old_archive()[:3000], "cut off"),
        (gzip.compress(old_archive())[:-9], "cut off"),
        (Archive().add("manifest.json", b'[{"Config": "a", "Layers": []}]').data(), "'a' is missing"),
        (Archive().symlink("a", "b").symlink("b", "a").add(
            "manifest.json", b'[{"Config": "a", "Layers": []}]').data(), "'a' is missing"),
        (Archive().symlink("a", "/etc/passwd").add(
            "manifest.json", b'[{"Config": "a", "Layers": []}]').data(), "'a' is missing"),
        (Archive().add("manifest.json", b'{"Config": "a"}').data(), "not a list of images"),
        (Archive().add("a", b"[]").add(
            "manifest.json", b'[{"Config": "a", "Layers": []}]').data(), "not a JSON object"),
    ],
    ids=["garbage", "nothing", "rootfs", "cut", "cut gzip", "missing", "link loop", "link out", "shape", "config"],
)  # fmt: skip
def test_no_archives_of_images(other: ImageStore, data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        load(other, io.BytesIO(data))
    if other.blobs.directory.is_dir():
        assert_nothing(other)


def test_a_layer_that_is_not_what_the_configuration_says(store: ImageStore, other: ImageStore) -> None:
    """Else an archive could plant its own content under the id of somebody else's layer."""
    make_image(store, "toy:1", [rootfs()])
    wanted = hashlib.sha256(rootfs()).hexdigest().encode()
    parts = members(packed(store, "toy:1"))
    archive = Archive()
    evil = gzip.compress(Archive().add("evil", b"").data())
    blobs = {name: data for name, data in parts.items() if name.startswith("blobs/")}
    manifest = next(data for data in blobs.values() if b'"layers"' in data)
    config = next(data for data in blobs.values() if b'"diff_ids"' in data)
    assert wanted in config
    forged = json.loads(manifest)
    forged["layers"] = [{"mediaType": oci.LAYER_GZIP, "digest": digest(evil), "size": len(evil)}]
    text = json.dumps(forged).encode()
    index = {"schemaVersion": 2, "manifests": [{"mediaType": oci.MANIFEST, "digest": digest(text), "size": len(text)}]}
    for data in (evil, text, config):
        archive.add(f"blobs/sha256/{digest(data)[7:]}", data)
    archive.add("index.json", json.dumps(index).encode())
    with pytest.raises(ImageError, match="its content is"):
        load(other, io.BytesIO(archive.data()))
    assert_nothing(other)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
