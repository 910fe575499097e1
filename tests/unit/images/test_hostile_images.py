"""Images whose documents lie: their words are paths, names and claims only as far as they are checked."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_support import Client

from stackup.base.errors import ImageError
from stackup.base.paths import Layout
from stackup.images.layers import LayerStore
from stackup.images.loading import load
from stackup.images.saving import archive
from stackup.images.store import ImageStore, host_platform
from stackup.images.verifying import Verifier
from stackup.oci import image as oci
from tests.support.archives import Archive
from tests.support.fakeregistry import FakeRegistry

LAYER = Archive().add("etc/os-release", b"NAME=other\n").data()


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry().serving() as fake:
        yield fake


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


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
