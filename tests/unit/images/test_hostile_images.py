"""Images whose documents lie: their words are paths, names and claims only as far as they are checked."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from image_support import put_layer
from registry_support import Client

from stackup.base.errors import ImageError
from stackup.base.paths import Layout
from stackup.images.blobs import BlobStore
from stackup.images.diskuse import image_use
from stackup.images.layers import LayerStore
from stackup.images.loading import load
from stackup.images.partial import Parts
from stackup.images.pruning import prune
from stackup.images.saving import archive, to_directory
from stackup.images.store import ImageStore, host_platform
from stackup.images.tree import Layer
from stackup.images.verifying import Verifier
from stackup.oci import image as oci
from tests.support.archives import Archive
from tests.support.fakeregistry import FakeRegistry

LAYER = Archive().add("etc/os-release", b"NAME=other\n").data()


def outside(tmp_path: Path) -> Path:
    found = tmp_path / "outside"
    found.mkdir()
    (found / "secret").write_text("secret")
    return found


@pytest.mark.parametrize(
    "form", ["{}", "sha256:{}", "../../../../../../../..{}", "sha256:../{}", "", "sha512:" + "0" * 64]
)
def test_a_diff_id_is_no_path(tmp_path: Path, client: Client, registry: FakeRegistry, form: str) -> None:
    words = form.format(outside(tmp_path))
    registry.image("evil/path", "1", [LAYER], platform=str(host_platform()), diff_ids=[words])
    with pytest.raises(ImageError, match="a diff id is not a sha256 digest"):
        client.pull(f"{registry.host}/evil/path:1")
    assert client.store.resolve(f"{registry.host}/evil/path:1") is None
    with pytest.raises(ImageError, match="is not the digest of a layer"):
        LayerStore(tmp_path / "layers").path(words)


def test_a_lock_is_no_path(tmp_path: Path) -> None:
    """Short absolute names fit into the part of a diff id that names a lock."""
    with pytest.raises(ImageError):
        LayerStore(tmp_path / "layers").adopt(tmp_path, "/tmp/short")
    assert not os.path.exists("/tmp/short")


def test_an_image_that_claims_to_stand_on_this_machine(client: Client, registry: FakeRegistry) -> None:
    notes = {"dev.stackup.base": "host"}
    registry.image("evil/host", "1", [LAYER], platform=str(host_platform()), annotations=notes)
    client.pull(f"{registry.host}/evil/host:1")
    image = client.store.resolve(f"{registry.host}/evil/host:1")
    assert image is not None and image.stranger and not image.host
    assert [overlay.target for overlay in image.overlays(None)] == ["/"], "nothing of this machine is shown"
    assert not client.store.ready(image)
    with pytest.raises(ImageError, match="built on the userland of another machine"):
        client.store.materialize(image)


def test_what_was_built_on_this_machine_comes_back_to_it(client: Client, registry: FakeRegistry) -> None:
    document = oci.ConfigFile(host_platform(), oci.ImageConfig(cmd=("true",)))
    name = f"{registry.host}/mine:1"
    made = client.store.put_image((), document, name, on_host=True)
    assert made.host and not made.stranger
    client.push(name)
    client.store.remove(name)
    client.pull(name)
    again = client.store.resolve(name)
    assert again is not None and again.host and again.id == made.id


# Blobs that are said to be other layers than they are


OTHER = Archive().add("etc/os-release", b"NAME=another\n").data()


def tar_digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def forged(store: ImageStore, layers: list[tuple[bytes, str]]) -> oci.Descriptor:
    """An image of these blobs and the diff ids that it gives them; in the store, but named by nobody."""
    stored = [store.blobs.put([data], oci.LAYER_GZIP) for data, _ in layers]
    document = oci.ConfigFile(host_platform(), diff_ids=tuple(diff_id for _, diff_id in layers))
    config = store.blobs.put_json(document.to_json(), oci.CONFIG)
    return store.blobs.put_json(oci.Manifest(config, tuple(stored)).to_json(), oci.MANIFEST)


@pytest.mark.parametrize("present", [False, True], ids=["empty store", "others have brought it"])
@pytest.mark.parametrize("way", ["pull", "pull of what is here", "load"])
def test_a_blob_is_what_its_image_says(
    tmp_path: Path, client: Client, registry: FakeRegistry, present: bool, way: str
) -> None:
    """Whatever else is in the store: the layer of that diff id may be there, of another blob."""
    store, victim, evil = client.store, f"{registry.host}/good:1", f"{registry.host}/evil:1"
    registry.image("good", "1", [OTHER], platform=str(host_platform()))
    registry.image("evil", "1", [LAYER], platform=str(host_platform()), diff_ids=[tar_digest(OTHER)])
    if present:
        client.pull(victim)
    if way == "pull of what is here":
        registry.image("honest", "1", [LAYER], platform=str(host_platform()))
        client.pull(f"{registry.host}/honest:1")
    with pytest.raises(ImageError, match=f"its content is {tar_digest(LAYER)}, not {tar_digest(OTHER)}"):
        if way == "load":
            other = ImageStore(Layout.at(tmp_path / "elsewhere"))
            other.index.add(forged(other, [(gzip.compress(LAYER), tar_digest(OTHER))]))
            load(store, io.BytesIO(b"".join(archive(other, [other.index.read().manifests[0].digest], "oci-archive"))))
        else:
            client.pull(evil)
    assert store.resolve(evil) is None
    if present:
        assert client.content(victim) == {"etc"} and Verifier(store).run() == []


def test_one_blob_is_not_two_layers(client: Client, registry: FakeRegistry) -> None:
    registry.image("good", "1", [OTHER], platform=str(host_platform()))
    client.pull(f"{registry.host}/good:1")
    ids = [tar_digest(OTHER), tar_digest(LAYER)]
    registry.image("evil", "1", [LAYER, LAYER], platform=str(host_platform()), diff_ids=ids)
    with pytest.raises(ImageError, match="says of one layer that it is two"):
        client.pull(f"{registry.host}/evil:1")
    name = "docker.io/library/evil:1"
    client.store.index.set(name, forged(client.store, [(gzip.compress(LAYER), item) for item in ids]))
    with pytest.raises(ImageError, match="says of one layer that it is two"):
        client.store.resolve("evil:1")
    (found,) = Verifier(client.store).run()
    assert (found.what, found.images) == ("manifest", ("evil:1",))


def test_verifying_finds_who_lies(client: Client, registry: FakeRegistry) -> None:
    """One that came in before blobs were compared: of two images with one blob, the one that is wrong."""
    store = client.store
    for name, data in (("good", LAYER), ("other", OTHER)):
        registry.image(name, "1", [data], platform=str(host_platform()))
        client.pull(f"{registry.host}/{name}:1")
    image = store.resolve(f"{registry.host}/good:1")
    assert image is not None and store.layers.known_pair(image.layers[0].digest, tar_digest(LAYER))
    blob = store.blobs.path(image.layers[0].digest).read_bytes()
    for name, diff_id in (("evil", tar_digest(OTHER)), ("fine", tar_digest(LAYER))):
        store.index.set(f"docker.io/library/{name}:1", forged(store, [(blob, diff_id)]))
    (found,) = Verifier(store).run()
    assert (found.what, found.images) == ("configuration", ("evil:1",))
    assert found.reason == f"of {image.layers[0].digest} it is said that it is {tar_digest(OTHER)}, but it is " \
        f"{tar_digest(LAYER)}"  # fmt: skip


def test_what_is_known_of_blobs_goes_with_them(client: Client, registry: FakeRegistry) -> None:
    registry.image("good", "1", [LAYER], platform=str(host_platform()))
    client.pull(f"{registry.host}/good:1")
    pairs = client.store.layout.layers / ".pairs"
    (note,) = pairs.iterdir()
    note.write_text("")  # as a crash of the machine leaves it
    assert not client.pull(f"{registry.host}/good:1").changed
    assert note.read_text() == tar_digest(LAYER)
    client.store.remove(f"{registry.host}/good:1")
    assert list(pairs.iterdir()) == []


# Other words of manifests, indexes and archives


DESCRIPTOR = {"mediaType": oci.MANIFEST, "digest": f"sha256:{'0' * 64}", "size": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "/etc/passwd"}, {"digest": "sha256:../../x"}, {"digest": "sha256:a\n"}, {"digest": "\x1b[2J:0"},
        {"size": 10**30}, {"size": -1}, {"size": 1.5}, {"mediaType": "a\x1b[2J"}, {"mediaType": "x" * 300},
        {"platform": {"architecture": "\x1b[2J"}}, {"platform": {"architecture": "x" * 100}},
        {"platform": {"architecture": "amd64", "os": "linux\n"}},
    ],
    ids=lambda change: str(sorted(change)[0]),
)  # fmt: skip
def test_descriptors_that_are_none(change: dict[str, object]) -> None:
    assert oci.Descriptor.from_json(DESCRIPTOR).size == 1
    with pytest.raises(ValueError, match=r"descriptor|platform"):
        oci.Descriptor.from_json({**DESCRIPTOR, **change})


def test_a_turn_is_no_path(tmp_path: Path) -> None:
    """Not even of three characters."""
    parts = Parts(BlobStore(tmp_path / "images"))
    for digest in ("/q/x", "sha256:../x", f"{tmp_path}/x"):
        with pytest.raises(ImageError), parts.turn(digest):
            pass
        with pytest.raises(ImageError):
            parts.open(digest, 1)
    assert not os.path.exists("/q") and os.listdir(tmp_path) == []


def test_what_an_image_lists_keeps_nothing_from_being_collected(client: Client) -> None:
    """A digest that is not used here, and a configuration that looks like an index."""
    store = client.store
    made = store.put_image((store_layer(store, LAYER),), oci.ConfigFile(host_platform()), "good:1")
    listed = store.index.read().manifests[0]
    index = oci.Index((replace(listed, platform=host_platform()), replace(listed, digest="sha512:" + "0" * 128)))
    store.index.set("docker.io/library/good:1", store.blobs.put_json(index.to_json(), oci.INDEX))
    index_as_both = {**index.to_json(), "layers": [1], "config": 1}
    store.index.set("docker.io/library/both:1", store.blobs.put_json(index_as_both, oci.INDEX))
    odd = store.blobs.put_json({**store.blobs.read_json(made.id), "manifests": "none", "layers": 1}, oci.CONFIG)
    manifest = replace(store.manifest(listed), config=odd)
    store.index.set("docker.io/library/odd:1", store.blobs.put_json(manifest.to_json(), oci.MANIFEST))
    nobodys = store.blobs.put([b"nobody's"], "")
    pruned = prune(store, named=False)
    assert not pruned.collected.put_off and not store.blobs.has(nobodys.digest)
    assert image_use(store).total == 2 and Verifier(store).run() == []
    for name in ("good:1", "odd:1", "both:1"):
        image = store.resolve(name)
        assert image is not None and store.ready(image)
        assert b"".join(archive(store, [name], "oci-archive"))


def test_indexes_in_indexes_come_to_an_end(client: Client) -> None:
    store = client.store
    store.put_image((store_layer(store, LAYER),), oci.ConfigFile(host_platform()), "deep:1")
    item = store.index.read().manifests[0]
    for _ in range(1100):
        item = store.blobs.put_json(oci.Index((replace(item, platform=host_platform()),)).to_json(), oci.INDEX)
    store.index.set("docker.io/library/deep:1", item)
    for look in (lambda: store.resolve("deep:1"), lambda: list(archive(store, ["deep:1"], "oci-archive"))):
        with pytest.raises(ImageError, match="in an index in an index"):
            look()
    assert Verifier(store).run()[0].what == "manifest"


def test_a_layout_cannot_show_files_of_this_machine(tmp_path: Path, client: Client) -> None:
    secret = outside(tmp_path) / "secret"
    other = ImageStore(Layout.at(tmp_path / "other"))
    other.put_image((store_layer(other, LAYER),), oci.ConfigFile(host_platform()), "evil:1")
    for name, link in (("extra", secret), ("manifest.json", secret), ("extra", Path("../outside/secret"))):
        real = tmp_path / f"layout-{len(os.listdir(tmp_path))}"
        to_directory(other, ["evil:1"], real)
        target = tmp_path / f"link-{real.name}"
        target.symlink_to(real)
        (target / name).symlink_to(link)
        with pytest.raises(ImageError, match=f"'{name}' is a link that leads out of it"):
            load(client.store, target)
        (target / name).unlink()
        (target / "extra").symlink_to("oci-layout")
        assert load(client.store, target)


class Endless(io.RawIOBase):
    """Zeros, as many as anybody wants."""

    def __init__(self, before: bytes) -> None:
        self.before, self.handed_out = before, 0

    def read(self, size: int = -1) -> bytes:
        piece, self.before = self.before[:size], self.before[size:]
        piece += bytes(size - len(piece))
        self.handed_out += len(piece)
        return piece


def test_what_follows_an_archive_is_not_read_for_ever(tmp_path: Path, client: Client) -> None:
    other = ImageStore(Layout.at(tmp_path / "other"))
    other.put_image((store_layer(other, LAYER),), oci.ConfigFile(host_platform()), "fine:1")
    source = Endless(b"".join(archive(other, ["fine:1"], "docker-archive")))
    assert load(client.store, cast(BinaryIO, source))
    with pytest.raises(ImageError, match="there is no manifest"):
        load(client.store, cast(BinaryIO, Endless(b"")))
    assert source.handed_out < 1 << 28


def test_documents_and_names_are_bounded(tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackup.images.blobs._LARGEST", 100)
    with pytest.raises(ImageError, match="no manifest or configuration has more than"):
        client.store.blobs.read(client.store.blobs.put([b"{}" + b" " * 100], "").digest)
    monkeypatch.setattr("stackup.images.loading._MAX_NAMES", 5000)
    many = Archive()
    for number in range(100):
        many.symlink(f"l{number}", "x")
    with pytest.raises(ImageError, match="too many names"):
        load(client.store, io.BytesIO(many.data()))


def test_a_load_says_only_what_it_does(tmp_path: Path, client: Client) -> None:
    other = ImageStore(Layout.at(tmp_path / "other"))
    other.put_image((store_layer(other, LAYER),), oci.ConfigFile(host_platform()), "fine:1")
    data = b"".join(archive(other, ["fine:1"], "docker-archive"))
    said = list[str]()
    for expected in (["unpacking layer 1/1"], []):
        load(client.store, io.BytesIO(data), say=said.append)
        assert said == expected
        said.clear()


def store_layer(store: ImageStore, data: bytes) -> Layer:
    return put_layer(store, gzip.compress(data))


def test_a_manifest_that_cannot_be_compared_is_not_taken(client: Client, registry: FakeRegistry) -> None:
    """Else whoever is asked could answer anything, pinned or not."""
    digest = registry.image("evil", "", [LAYER], platform=str(host_platform()))
    odd = f"sha512:{'0' * 128}"
    registry.manifests["evil", odd] = registry.manifests["evil", digest]
    pinned = registry.index("evil", "1", {str(host_platform()): odd})
    with pytest.raises(ImageError, match="only sha256 digests are supported"):
        client.pull(f"{registry.host}/evil@{pinned}")


@pytest.mark.parametrize("key", ["RepoTags", "Layers"])
@pytest.mark.parametrize("value", [1, "x", {"a": 1}, [None], [["x"]], True])
def test_names_that_are_none(client: Client, key: str, value: object) -> None:
    config = oci.dumps(oci.ConfigFile(host_platform()).to_json())
    listed = [{"Config": "c.json", "RepoTags": ["x:1"], "Layers": [], key: value}]
    data = Archive().add("c.json", config).add("manifest.json", json.dumps(listed).encode()).data()
    with pytest.raises(ImageError, match=f"{key} in its manifest.json is not a list of names"):
        load(client.store, io.BytesIO(data))


def test_a_name_that_reads_like_a_digest(tmp_path: Path, client: Client) -> None:
    other = ImageStore(Layout.at(tmp_path / "other"))
    made = other.put_image((store_layer(other, LAYER),), oci.ConfigFile(host_platform()), "evil:1")
    with pytest.raises(ImageError, match="it is a digest"):
        other.tag("evil:1", f"sha256:{'0' * 64}")
    for name in (f"sha256:{'0' * 64}", f"docker.io/library/{made.id}"):
        target = tmp_path / f"layout-{len(name)}"
        to_directory(other, ["evil:1"], target)
        text = (target / "index.json").read_text()
        (target / "index.json").write_text(text.replace("docker.io/library/evil:1", name))
        with pytest.raises(ImageError, match="it is a digest"):
            load(client.store, target)
