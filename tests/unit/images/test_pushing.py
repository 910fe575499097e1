"""Pushing: what is sent, what is not, and what happens when it breaks."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from registry_support import Client

from stackup.base.errors import ImageError
from stackup.images import pushed as remembering
from stackup.images import pushing
from stackup.images.describing import inspect
from stackup.images.registry.errors import BadAnswer, Broken, Denied
from stackup.images.verifying import Verifier
from tests.support.fakeregistry import FakeRegistry, Fault, digest_of, some_layer

LAYER = some_layer("etc", size=300_000)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr("os.fsync", lambda _fd: None)  # no power will fail here, and disks are slow
    return Client(tmp_path)


@pytest.fixture
def name(client: Client, registry: FakeRegistry) -> str:
    """An image that was imported, so that its layer is not compressed."""
    reference = f"{registry.host}/team/app:1"
    client.store.import_rootfs(io.BytesIO(LAYER), reference)
    return reference


def layer_there(registry: FakeRegistry, repository: str = "team/app", tag: str = "1") -> bytes:
    (digest,) = registry.layers_of(repository, tag)
    return registry.blobs[repository, digest]


def test_an_image_goes_out_compressed(client: Client, registry: FakeRegistry, name: str) -> None:
    pushed = client.push(name)
    kind, data = registry.manifests["team/app", "1"]
    assert pushed.digest == digest_of(data)
    assert kind == json.loads(data)["mediaType"]
    assert json.loads(data)["layers"][0]["mediaType"].endswith("tar+gzip")
    assert gzip.decompress(layer_there(registry)) == LAYER
    image = client.store.resolve(name)
    assert image is not None
    assert json.loads(data)["config"]["digest"] == image.id


def test_a_second_push_sends_nothing(client: Client, registry: FakeRegistry, name: str) -> None:
    first = client.push(name)
    registry.seen.clear()
    assert client.push(name).digest == first.digest
    assert {item.method for item in registry.seen} <= {"GET", "HEAD", "PUT"}
    assert registry.count("PUT", "/blobs/") == 0


def test_what_was_pushed_is_known_under_the_registrys_digest(client: Client, registry: FakeRegistry, name: str) -> None:
    """And a pull has nothing to do."""
    pushed = client.push(name)
    assert inspect(client.store, name)["RepoDigests"] == [f"{name.rpartition(':')[0]}@{pushed.digest}"]
    registry.seen.clear()
    pulled = client.pull(name)
    assert (pulled.digest, pulled.changed) == (pushed.digest, False)
    assert registry.count("GET", "/blobs/") == 0


def test_layers_that_were_pushed_do_not_come_back(client: Client, registry: FakeRegistry, name: str) -> None:
    """Somebody else's image on top of ours: only what is new of it travels."""
    client.push(name)
    (digest,) = registry.layers_of("team/app", "1")
    other = some_layer("usr")
    registry.image("team/app", "2", [LAYER, other], compress=_packed)
    assert registry.layers_of("team/app", "2")[0] == digest
    registry.seen.clear()
    client.pull(f"{registry.host}/team/app:2")
    assert registry.requests("GET", digest) == []
    assert client.content(f"{registry.host}/team/app:2") == {"etc", "usr", "large"}
    assert Verifier(client.store).run() == []


def test_a_layer_that_cannot_be_made_again_comes_back(
    client: Client, registry: FakeRegistry, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another release of the program that compresses: its bytes are others."""
    pushed = client.push(name)
    (digest,) = registry.layers_of("team/app", "1")
    monkeypatch.setattr(remembering, "gzipped", lambda file: [gzip.compress(file.read(), 1)])
    client.pull(f"{name.rpartition(':')[0]}@{pushed.digest}")
    assert len(registry.requests("GET", digest)) == 1
    assert Verifier(client.store).run() == []


def _packed(data: bytes) -> bytes:
    return b"".join(remembering.gzipped(io.BytesIO(data)))


def test_what_was_pulled_goes_out_unchanged(client: Client, registry: FakeRegistry) -> None:
    digest = registry.image("team/app", "1", [LAYER])
    client.pull(f"{registry.host}/team/app:1")
    client.store.tag(f"{registry.host}/team/app:1", f"{registry.host}/copies/app:2")
    assert client.push(f"{registry.host}/copies/app:2").digest == digest
    assert registry.manifests["copies/app", "2"] == registry.manifests["team/app", "1"]


def test_a_neighbours_blob_is_taken_over(client: Client, registry: FakeRegistry) -> None:
    registry.image("team/app", "1", [LAYER])
    client.pull(f"{registry.host}/team/app:1")
    client.store.tag(f"{registry.host}/team/app:1", f"{registry.host}/copies/app:2")
    client.push(f"{registry.host}/copies/app:2")
    layer = registry.layers_of("team/app", "1")[0]
    mounted = [item.query["mount"][0] for item in registry.requests("POST", "/uploads/") if "mount" in item.query]
    assert mounted == [layer]
    assert registry.count("PATCH", "") == 0


def test_an_index_that_is_all_here(client: Client, registry: FakeRegistry) -> None:
    images = {name: registry.image("team/app", "", [some_layer(name[-5:])], platform=name) for name in PLATFORMS}
    registry.index("team/app", "1", images)
    source = f"{registry.host}/team/app:1"
    for name in PLATFORMS:
        client.pull(source, platform=name)
    client.store.tag(source, f"{registry.host}/copies/app:1")
    client.push(f"{registry.host}/copies/app:1")
    assert registry.manifests["copies/app", "1"] == registry.manifests["team/app", "1"]


PLATFORMS = ("linux/amd64", "linux/arm64")


def test_an_index_of_which_one_image_is_here(client: Client, registry: FakeRegistry) -> None:
    images = {name: registry.image("team/app", "", [some_layer(name[-5:])], platform=name) for name in PLATFORMS}
    registry.index("team/app", "1", images)
    client.pull(f"{registry.host}/team/app:1", platform="linux/arm64")
    client.store.tag(f"{registry.host}/team/app:1", f"{registry.host}/copies/app:1")
    assert client.push(f"{registry.host}/copies/app:1").digest == images["linux/arm64"]
    assert any("only the image of one platform" in event.get("text", "") for event in client.events)


# Connections that break


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer counts as one that is not sent in one request."""
    monkeypatch.setattr(pushing, "SMALL", 100_000)


def starts(registry: FakeRegistry) -> list[str]:
    return [item.headers.get("Content-Range", "").partition("-")[0] for item in registry.requests("PATCH", "")]


@pytest.mark.usefixtures("large")
def test_a_large_layer(client: Client, registry: FakeRegistry, name: str) -> None:
    client.push(name)
    assert starts(registry) == [""], "some registries know no ranges"
    assert gzip.decompress(layer_there(registry)) == LAYER


@pytest.mark.usefixtures("large")
def test_a_broken_upload_goes_on_where_it_broke(client: Client, registry: FakeRegistry, name: str) -> None:
    registry.faults = [Fault("/uploads/", "PATCH", cut=130_000), Fault("/uploads/", "PATCH", cut=20_000)]
    client.push(name)
    assert starts(registry) == ["", "130000", "150000"]
    assert client.slept == [0.5, 0.5]
    assert gzip.decompress(layer_there(registry)) == LAYER


@pytest.mark.usefixtures("large")
def test_an_upload_that_the_registry_forgot(client: Client, registry: FakeRegistry, name: str) -> None:
    registry.faults = [Fault("/uploads/", "PATCH", cut=5000), Fault("/uploads/", "GET", status=404)]
    client.push(name)
    assert starts(registry) == ["", ""]
    assert gzip.decompress(layer_there(registry)) == LAYER


@pytest.mark.usefixtures("large")
def test_a_token_that_runs_out_before_the_upload(
    client: Client, registry: FakeRegistry, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.auth = "token"

    real = registry.fault_for

    def fault_for(method: str, path: str) -> Fault | None:
        if method == "PATCH" and registry.count("PATCH", "") == 1:
            registry.tokens.clear()
        return real(method, path)

    monkeypatch.setattr(registry, "fault_for", fault_for)
    client.push(name)
    assert starts(registry) == ["", ""]
    assert gzip.decompress(layer_there(registry)) == LAYER


@pytest.mark.usefixtures("large")
def test_a_registry_that_goes_back_and_forth(client: Client, registry: FakeRegistry, name: str) -> None:
    """Only what goes on beyond where it ever was is progress."""
    registry.faults = [Fault("/uploads/", "PATCH", cut=0, times=99)]
    registry.faults += [
        Fault("/uploads/", "GET", status=204, headers={"Range": f"0-{1000 * (1 + number % 2)}"}) for number in range(99)
    ]
    with pytest.raises(Broken, match="cannot push"):
        client.push(name)
    assert registry.count("PATCH", "/uploads/") < 9
    told = [event["text"] for event in client.events if event.get("kind") == "note"]
    assert [text.rpartition("; ")[2] for text in told[:2]] == ["going on at 0.0 MB", "going on at 0.0 MB"]
    assert told[2].endswith("retrying (2 of 4)")


def test_a_registry_that_drops_every_upload(client: Client, registry: FakeRegistry, name: str) -> None:
    registry.faults = [Fault("/uploads/", "PUT", cut=0, times=99)]
    with pytest.raises(Broken, match="cannot push"):
        client.push(name)
    assert client.slept == [0.5, 1, 2]
    assert client.leftovers() == []


def test_a_registry_that_does_not_believe_the_digest(client: Client, registry: FakeRegistry, name: str) -> None:
    body = b'{"errors": [{"code": "DIGEST_INVALID", "message": "provided digest did not match"}]}'
    registry.faults = [Fault("/uploads/", "PUT", status=400, body=body)]
    with pytest.raises(BadAnswer, match=r"answers 400 \(provided digest did not match\)"):
        client.push(name)


# Who may


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_with_credentials(client: Client, registry: FakeRegistry, name: str, auth: str) -> None:
    registry.auth, registry.users = auth, {"bob": "secret"}
    client.configure({"auths": {registry.host: {"username": "bob", "password": "secret"}}})
    client.push(name)
    if auth == "token":
        assert {scope for item in registry.requests("GET", "/token") for scope in item.query["scope"]} == {
            "repository:team/app:pull,push"
        }


def test_without_credentials(client: Client, registry: FakeRegistry, name: str) -> None:
    registry.auth, registry.users = "basic", {"bob": "secret"}
    with pytest.raises(Denied, match=r"cannot push .*team/app:1: .* no credentials are known"):
        client.push(name)


# What cannot be pushed


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("host", "cannot push 'host'"),
        ("registry.invalid/nothing:1", "there is no such image here"),
        ("registry.invalid/x@sha256:" + "0" * 64, "name a tag"),
    ],
)
def test_what_cannot_be_pushed(client: Client, reference: str, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        client.push(reference)
