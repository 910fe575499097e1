"""Images whose documents lie: their words are paths, names and claims only as far as they are checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_support import Client

from stackup.base.errors import ImageError
from stackup.images.layers import LayerStore
from stackup.images.store import host_platform
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
