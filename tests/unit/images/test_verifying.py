"""A store that was damaged: what is found, what is said of it, and what is repaired."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from image_support import container_on, make_image, make_index, new_store, put_layer, rootfs

from stackup.base.paths import Layout
from stackup.images import usage
from stackup.images.claims import Claim
from stackup.images.image import Image
from stackup.images.store import ImageStore, host_platform
from stackup.images.verifying import Damage, Verifier
from stackup.oci import image as oci
from tests.support.archives import Archive


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return new_store(tmp_path / "root")


@pytest.fixture
def image(store: ImageStore) -> Image:
    layer = Archive().directory("d").add("d/f", b"content", mode=0o644).symlink("s", "d/f").add(".wh.gone", b"")
    return make_image(store, "toy", [rootfs(), gzip.compress(layer.data())])


def flip(path: Path) -> None:
    """One bit, in the middle, of a file that keeps its size and time."""
    info = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(info.st_mode)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def damage(store: ImageStore) -> list[Damage]:
    return Verifier(store).run()


def test_a_whole_store(store: ImageStore, image: Image) -> None:
    store.tag("toy", "again")
    make_index(store, "docker.io/library/many:1", ["linux/s390x", f"linux/{host_platform().architecture}"])
    verifier = Verifier(store)
    assert verifier.run() == []
    assert verifier.checked >= 2 + 2 * 2


@pytest.mark.parametrize("what", ["manifest", "configuration", "blob"])
def test_a_flipped_bit_in_a_blob(store: ImageStore, image: Image, what: str) -> None:
    store.tag("toy", "again")
    digests = {"manifest": image.digest, "configuration": image.id, "blob": image.layers[1].digest}
    flip(store.blobs.path(digests[what]))
    (found, *_) = damage(store)
    assert (found.what, found.digest) == (what, digests[what])
    assert found.path == str(store.blobs.path(digests[what]))
    assert set(found.images) == {"toy:latest", "again:latest"}


def test_blobs_that_no_image_of_this_machine_needs(store: ImageStore, image: Image) -> None:
    """Of another platform; of the build cache, whose unpacked layer is looked at, too; and of nobody."""
    index = make_index(store, "docker.io/library/many:1", ["linux/s390x", f"linux/{host_platform().architecture}"])
    stranger = oci.Index.from_json(store.blobs.read_json(index.digest)).manifests[0].digest
    cached, spoilt = (put_layer(store, Archive().add(name, b"cached").data()) for name in ("one", "two"))
    steps = store.layout.build_cache / "steps" / "ab"
    steps.mkdir(parents=True)
    for layer in (cached, spoilt):
        (steps / f"{layer.digest[7:]}.json").write_text(f'{{"layer": "{layer.digest}"}}')
    nobodys = store.blobs.put([b"anything"], "").digest
    assert damage(store) == []
    for digest in (stranger, cached.digest, nobodys):
        flip(store.blobs.path(digest))
    (spoilt.path / "two").write_bytes(b"other!")
    found = {item.digest: item for item in damage(store)}
    assert found.keys() == {stranger, cached.digest, nobodys, spoilt.digest}
    assert found[stranger].images == ("many:1",) and found[nobodys].images == found[cached.digest].images == ()
    assert found[spoilt.digest].what == "layer" and not spoilt.path.exists()


def test_a_missing_blob(store: ImageStore, image: Image) -> None:
    store.blobs.path(image.layers[0].digest).unlink()
    (found,) = damage(store)
    assert (found.what, found.reason) == ("blob", "it is missing")


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "content": (lambda layer: flip(layer / "d/f"), "/d/f has other content"),
    "size": (lambda layer: (layer / "d/f").write_bytes(b"more than that"), "/d/f has 14 bytes instead of 7"),
    "mode": (lambda layer: (layer / "d/f").chmod(0o4755), "/d/f has mode 4755 instead of 644"),
    "added": (lambda layer: (layer / "d/virus").touch(), "/d/virus was added"),
    "missing": (lambda layer: (layer / "d/f").unlink(), "/d/f is missing"),
    "link": (lambda layer: replaced(layer / "s", lambda path: path.symlink_to("/etc")), "/s leads elsewhere"),
    "kind": (lambda layer: replaced(layer / "d/f", lambda path: path.mkdir()), "/d/f is of another kind"),
    "whiteout": (lambda layer: (layer / "gone").unlink(), "/gone is missing"),
    "attribute": (lambda layer: os.setxattr(layer / "d/f", "user.x", b"1"), "/d/f has other extended attributes"),
    "directory": (lambda layer: (layer / "d").chmod(0o777), "/d has mode 777 instead of 755"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_layer_is_found_and_made_again(store: ImageStore, image: Image, change: str) -> None:
    make, reason = CHANGES[change]
    make(image.layers[1].path)
    (found,) = damage(store)
    assert (found.what, found.reason, found.images) == ("layer", reason, ("toy:latest",))
    assert not image.layers[1].path.exists()
    store.materialize(image)
    assert damage(store) == []
    assert (image.layers[1].path / "d/f").read_bytes() == b"content"


def test_a_layer_that_a_container_stands_on_is_left_alone(store: ImageStore, image: Image) -> None:
    container_on(store, image)
    flip(image.layers[1].path / "d/f")
    (found,) = damage(store)
    assert (found.user, found.removed) == ("container c0ffee00c0ff", False)
    assert image.layers[1].path.is_dir()


def test_a_layer_that_a_build_or_a_command_uses_is_left_alone(store: ImageStore, image: Image) -> None:
    flip(image.layers[1].path / "d/f")
    with usage.bringing_in(store.layout):  # as a build does from its beginning to its end
        (found,) = damage(store)
    assert (found.user, found.removed) == (f"another command (process {os.getpid()})", False)
    with Claim(store.layout, "project shop", ["toy"]):
        (found,) = damage(store)
    assert (found.user, found.removed) == ("project shop", False)
    assert image.layers[1].path.is_dir()
    (found,) = damage(store)
    assert (found.user, found.removed) == ("", True)


def test_a_container_that_is_made_meanwhile_keeps_its_layer(
    store: ImageStore, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(image.layers[1].path / "d/f")
    stood_on = usage.stood_on

    def late(layout: Layout) -> str:
        container_on(store, image)
        return stood_on(layout)

    monkeypatch.setattr(usage, "stood_on", late)
    (found,) = damage(store)
    assert (found.user, found.removed) == ("container c0ffee00c0ff", False)
    assert image.layers[1].path.is_dir()


def test_only_some_differences_are_told(store: ImageStore, image: Image) -> None:
    for number in range(30):
        (image.layers[1].path / f"x{number:02}").touch()
    (found,) = damage(store)
    assert found.reason.count("; ") == 5 and found.reason.endswith("and more")


def test_layers_that_a_build_made_are_what_their_archives_say(store: ImageStore, tmp_path: Path) -> None:
    upper = tmp_path / "root/lib/layers/upper"
    store.layers.prepare()
    (upper / "d").mkdir(parents=True)
    (upper / "d/f").write_bytes(b"x")
    os.utime(upper / "d/f", ns=(5, 1_700_000_000_123_456_789))
    layer = store.put_layer([("/", upper)], epoch=1_000_000_000)
    assert layer is not None
    from stackup.oci import image as oci

    store.put_image([layer], oci.ConfigFile(host_platform()), "built")
    assert damage(store) == []
