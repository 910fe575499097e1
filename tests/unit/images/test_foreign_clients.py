"""skopeo and umoci read what stackup writes, and the other way round; digests and file trees are the same."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from image_support import make_image, new_store, rootfs

from stackup.images import saving
from stackup.images.image import Image
from stackup.images.loading import load
from stackup.images.lookup import Place, Stack
from stackup.images.store import ImageStore
from tests.support.archives import Archive

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
skopeo_is_here = pytest.mark.skipif(not shutil.which("skopeo"), reason="no skopeo")
umoci_is_here = pytest.mark.skipif(not shutil.which("umoci") or os.geteuid() != 0, reason="no umoci, or no root")


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def skopeo(source: str, target: str) -> None:
    run("skopeo", "--insecure-policy", "--tmpdir", "/tmp", "copy", "--quiet", source, target)


def manifest_digest(where: str) -> str:
    return str(json.loads(run("skopeo", "inspect", where))["Digest"])


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return new_store(tmp_path / "one")


@pytest.fixture
def other(tmp_path: Path) -> ImageStore:
    return new_store(tmp_path / "two")


@pytest.fixture
def image(store: ImageStore) -> Image:
    top = gzip.compress(Archive().add("new", b"x" * 5000).add("etc/.wh.os-release", b"").data())
    return make_image(store, "toy:1", [rootfs(), top])


@skopeo_is_here
def test_skopeo_reads_what_is_saved(store: ImageStore, image: Image, tmp_path: Path) -> None:
    saving.to_directory(store, ["toy:1"], tmp_path / "dir")
    for form in (saving.DOCKER_ARCHIVE, saving.OCI_ARCHIVE):
        saving.to_file(saving.archive(store, ["toy:1"], form), tmp_path / f"{form}.tar", store.layout)
    name = "docker.io/library/toy:1"
    assert manifest_digest(f"oci:{tmp_path}/dir:{name}") == image.digest
    assert manifest_digest(f"oci-archive:{tmp_path}/oci-archive.tar:{name}") == image.digest
    skopeo(f"docker-archive:{tmp_path}/docker-archive.tar:toy:1", f"oci:{tmp_path}/copy:toy:1")
    config = json.loads(run("skopeo", "inspect", "--config", "--raw", f"oci:{tmp_path}/copy:toy:1"))
    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in image.layers]
    assert config["config"] == {"Cmd": ["/bin/sh"]}


@skopeo_is_here
@pytest.mark.parametrize(
    "form", ["docker-archive:{}.tar:team/toy:2", "oci-archive:{}.tar:team/toy:2", "oci:{}:team/toy:2"]
)
def test_what_skopeo_writes_is_loaded(
    store: ImageStore, other: ImageStore, image: Image, tmp_path: Path, form: str
) -> None:
    place = form.format(tmp_path / "out")
    skopeo(f"oci:{store.blobs.root}:docker.io/library/toy:1", place)
    (loaded,) = load(other, Path(place.split(":")[1]))
    assert loaded.names == ("team/toy:2",)
    again = other.resolve("team/toy:2")
    assert again is not None and again.id == image.id
    assert [layer.diff_id for layer in again.layers] == [layer.diff_id for layer in image.layers]
    assert again.digest == manifest_digest(place) or place.startswith("docker-archive")


def everything() -> bytes:
    """A layer with every kind of file that a layer can hold."""
    pax = {"SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape")}
    archive = (
        Archive().directory("d", 0o1777).add("d/f", b"x" * 3000, mode=0o4755, owner=(1000, 1001), mtime=1234567890)
    )
    archive.hardlink("d/h", "d/f").symlink("d/s", "../nowhere").add("cap", b"c", pax=pax).add(
        "p", kind=tarfile.FIFOTYPE
    )
    archive.add("null", kind=tarfile.CHRTYPE, device=(1, 3), mode=0o666).add("ü" * 120, b"long").directory("gone")
    return archive.add("gone/x", b"").directory("opaque").add("opaque/old", b"").add("setgid", b"", mode=0o2711).data()


def over() -> bytes:
    return (
        Archive().add(".wh.gone", b"").directory("opaque").add("opaque/.wh..wh..opq", b"").add("opaque/new", b"").data()
    )


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Of a plain directory."""
    found = {}
    for path in sorted(root.rglob("*")):
        found["/" + path.relative_to(root).as_posix()] = facts(path)
    return found


def facts(path: Path) -> tuple[object, ...]:
    info = path.lstat()
    kind = stat.S_IFMT(info.st_mode)
    content = path.read_bytes() if kind == stat.S_IFREG else os.readlink(path) if kind == stat.S_IFLNK else b""
    capability = b""
    if kind == stat.S_IFREG and "security.capability" in os.listxattr(path):
        capability = os.getxattr(path, "security.capability")
    mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(info.st_mode)
    time = int(info.st_mtime) if kind == stat.S_IFREG else 0
    return kind, mode, info.st_uid, info.st_gid, info.st_rdev, time, content, capability


def merged(stack: Stack, place: Place) -> dict[str, tuple[object, ...]]:
    """Of the stacked layers of an image."""
    found = {}
    for name in stack.names(place):
        child = stack.child(place, name)
        found[child.path] = facts(Path(child.paths[0]))
        if child.is_directory:
            found |= merged(stack, child)
    return found


@umoci_is_here
def test_umoci_unpacks_our_store_to_the_same_tree(store: ImageStore, tmp_path: Path) -> None:
    image = make_image(store, "full:1", [everything(), gzip.compress(over())])
    saving.to_directory(store, ["full:1"], tmp_path / "layout")
    index = tmp_path / "layout/index.json"  # umoci takes no colon in a name
    index.write_text(index.read_text().replace("docker.io/library/full:1", "full"))
    run("umoci", "unpack", "--image", f"{tmp_path}/layout:full", tmp_path / "bundle")
    stack = Stack(image.overlays(None))
    ours, theirs = merged(stack, stack.find("/")), tree(tmp_path / "bundle/rootfs")
    assert ours == theirs
    assert ours["/cap"][-1] == CAPABILITY and "/gone" not in ours and "/opaque/old" not in ours


@umoci_is_here
def test_what_umoci_writes_is_loaded(store: ImageStore, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:mine")
    run("umoci", "unpack", "--image", f"{layout}:mine", tmp_path / "bundle")
    with tarfile.open(fileobj=io.BytesIO(everything())) as tar:
        tar.extractall(tmp_path / "bundle/rootfs", filter="fully_trusted")
    run("umoci", "repack", "--image", f"{layout}:mine", tmp_path / "bundle")
    run("umoci", "config", "--image", f"{layout}:mine", "--config.cmd", "/d/f")
    (loaded,) = load(store, layout)
    assert loaded.names == ("mine:latest",)
    image = store.resolve("mine")
    assert image is not None and image.config.cmd == ("/d/f",)
    stack = Stack(image.overlays(None))
    assert merged(stack, stack.find("/")) == tree(tmp_path / "bundle/rootfs")
