"""Pulling from a registry that misbehaves in every way that registries and networks have."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import socket
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from registry_support import Client

from stackup.base.errors import ImageError
from stackup.images import usage
from stackup.images.diskuse import image_use
from stackup.images.partial import KEPT, Parts
from stackup.images.pruning import prune
from stackup.images.registry.errors import (
    BadAnswer,
    Blocked,
    Broken,
    Denied,
    NotThere,
    RateLimited,
    RegistryError,
    Unreachable,
)
from stackup.images.registry.transport import Patience
from stackup.images.store import host_platform
from stackup.images.verifying import Verifier
from tests.support.fakeregistry import CONFIG, INDEX, MANIFEST, FakeRegistry, Fault, digest_of, some_layer

SMALL = some_layer("etc", "bin")
LARGE = some_layer("usr", size=3 << 20)
BLOBS = "/blobs/"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr("os.fsync", lambda _fd: None)  # no power will fail here, and disks are slow
    return Client(tmp_path)


def name_of(registry: FakeRegistry, name: str = "team/app:1") -> str:
    return f"{registry.host}/{name}"


def large(registry: FakeRegistry) -> str:
    """An image whose second layer is large; answers that layer's digest."""
    registry.image("team/app", "1", [SMALL, LARGE])
    return registry.layers_of("team/app", "1")[1]


def assert_whole(client: Client, registry: FakeRegistry) -> None:
    assert client.content(name_of(registry)) == {"etc", "bin", "usr", "large"}
    assert client.parts() == []
    assert client.leftovers() == []


def part_of(client: Client, digest: str) -> Path:
    """What has arrived of a layer; of the other one some may be here too, as it is given up with the first."""
    (part,) = [path for path in client.parts() if path.name == digest.removeprefix("sha256:")]
    return part


def offsets(registry: FakeRegistry, digest: str) -> list[str]:
    return [item.headers.get("Range", "") for item in registry.requests("GET", digest)]


def test_an_image_comes_in(client: Client, registry: FakeRegistry) -> None:
    digest = registry.image("team/app", "1", [SMALL, LARGE])
    pulled = client.pull(name_of(registry))
    assert (pulled.digest, pulled.changed) == (digest, True)
    assert_whole(client, registry)
    image = client.store.resolve(name_of(registry))
    assert image is not None and image.id == pulled.id
    assert image.config.cmd == ("/bin/sh",)
    assert image.pulled
    states = {layer["state"] for layer in client.events[-1]["layers"]}
    assert states == {"done"}


@pytest.mark.parametrize("form", ["plain", "zstd"])
def test_layers_in_other_forms(client: Client, registry: FakeRegistry, form: str) -> None:
    if form == "zstd":
        if shutil.which("zstd") is None:
            pytest.skip("there is no zstd here")
        compress = lambda data: subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout  # noqa: E731
        registry.image("team/app", "1", [SMALL, LARGE], compress=compress, suffix="+zstd")
    else:
        registry.image("team/app", "1", [SMALL, LARGE], compress=lambda data: data, suffix="")
    client.pull(name_of(registry))
    assert_whole(client, registry)


def test_a_second_pull_asks_for_the_digest_only(client: Client, registry: FakeRegistry) -> None:
    registry.image("team/app", "1", [SMALL])
    client.pull(name_of(registry))
    registry.seen.clear()
    assert client.pull(name_of(registry)).changed is False
    assert [(item.method, item.path) for item in registry.seen if item.path != "/v2/"] == [
        ("HEAD", "/v2/team/app/manifests/1")
    ]


def test_what_another_image_has_brought_is_not_fetched_again(client: Client, registry: FakeRegistry) -> None:
    registry.image("team/app", "1", [SMALL])
    registry.image("team/app", "2", [SMALL, LARGE])
    client.pull(name_of(registry))
    client.pull(name_of(registry, "team/app:2"))
    assert registry.count("GET", registry.layers_of("team/app", "1")[0]) == 1


def spoil(path: Path, *, cut: int = 0) -> None:
    """One bit is another one; ``cut``: and so many bytes are missing."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data[: len(data) - cut])


@pytest.mark.parametrize("what", ["manifest", "index", "configuration", "short layer", "layer", "verified layer"])
def test_what_is_damaged_on_the_disk_is_brought_in_again(client: Client, registry: FakeRegistry, what: str) -> None:
    """Layers are not hashed each time: one of the right size is looked at where it is to be unpacked, or where a
    verification has found it damaged."""
    registry.image("team/app", "1", [SMALL, LARGE])
    if what == "index":
        name = f"linux/{host_platform().architecture}"
        registry.index("team/app", "1", {name: registry.image("team/app", "", [SMALL, LARGE], platform=name)})
    client.pull(name_of(registry))
    store, image = client.store, client.store.resolve(name_of(registry))
    assert image is not None
    digests = {"manifest": image.digest, "index": image.digest, "configuration": image.id}
    digest = digests.get(what, image.layers[1].digest)
    spoil(store.blobs.path(digest), cut=9 if what == "short layer" else 0)
    if what == "layer":
        shutil.rmtree(image.layers[1].path)
    if what == "verified layer":
        assert [item.digest for item in Verifier(store).run()] == [digest]
    client.pull(name_of(registry))
    assert store.blobs.intact(digest)
    assert Verifier(store).run() == []
    registry.seen.clear()
    client.pull(name_of(registry))
    assert not [item for item in registry.seen if item.method == "GET" and "manifests" in item.path]


def test_equal_layers_count_once(client: Client, registry: FakeRegistry) -> None:
    registry.image("team/app", "1", [SMALL, LARGE, SMALL])
    client.pull(name_of(registry))
    assert registry.count("GET", registry.layers_of("team/app", "1")[0]) == 1
    image = client.store.resolve(name_of(registry))
    assert image is not None and len(image.layers) == 3


# Connections that break


def test_a_broken_transfer_is_continued(client: Client, registry: FakeRegistry) -> None:
    digest = large(registry)
    registry.faults = [Fault(digest, cut=1 << 20), Fault(digest, cut=1 << 20)]
    client.pull(name_of(registry))
    assert offsets(registry, digest) == ["", f"bytes={1 << 20}-", f"bytes={2 << 20}-"]
    assert_whole(client, registry)


def test_one_that_always_breaks_is_asked_on_as_long_as_more_arrives(client: Client, registry: FakeRegistry) -> None:
    """Also when what is left has become little."""
    digest = large(registry)
    left = len(registry.blobs["team/app", digest])
    cuts = []
    while left > 1000:
        cuts.append(left // 3 + 1)
        left -= cuts[-1]
    registry.faults = [Fault(digest, cut=cut) for cut in cuts]
    client.pull(name_of(registry))
    assert len(offsets(registry, digest)) == len(cuts) + 1 > 15
    assert_whole(client, registry)


def test_a_registry_that_drops_for_ever(client: Client, registry: FakeRegistry) -> None:
    digest = large(registry)
    registry.faults = [Fault(digest, cut=1 << 20), Fault(digest, cut=0, times=99)]
    with pytest.raises(Broken, match=r"cannot pull .*team/app:1: the connection to 127\.0\.0\.1:\d+ broke"):
        client.pull(name_of(registry))
    assert client.store.resolve(name_of(registry)) is None
    assert client.leftovers() == []
    assert part_of(client, digest).stat().st_size == 1 << 20
    registry.faults.clear()
    registry.seen.clear()
    client.pull(name_of(registry))
    assert offsets(registry, digest) == [f"bytes={1 << 20}-"]
    assert_whole(client, registry)


def test_silence_is_a_break(client: Client, registry: FakeRegistry) -> None:
    client.patience = Patience(connect=5, read=0.2, pauses=(1,))
    digest = large(registry)
    registry.faults = [Fault(digest, hang=True, times=9)]
    with pytest.raises(Broken, match=r"gives no answer within 0\.2 s"):
        client.pull(name_of(registry))
    assert set(client.slept) == {1}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("", whole=True),
        Fault("", headers={"Content-Range": "bytes 5-9/10"}),
        Fault("", headers={"ETag": '"another"'}),
        Fault("", status=206, body=b"x"),
    ],
    ids=["no ranges", "another range", "another thing", "no range named"],
)
def test_only_what_fits_is_appended(client: Client, registry: FakeRegistry, fault: Fault) -> None:
    digest = large(registry)
    registry.image("team/app", "1", [LARGE])
    registry.faults = [Fault(digest, cut=1 << 20), replace(fault, path=digest)]
    client.pull(name_of(registry))
    assert client.content(name_of(registry)) == {"usr", "large"}
    assert client.parts() == []


def test_what_was_left_damaged_is_fetched_anew(client: Client, registry: FakeRegistry) -> None:
    digest = large(registry)
    registry.faults = [Fault(digest, cut=1 << 20), Fault(digest, cut=0, times=99)]
    with pytest.raises(Broken):
        client.pull(name_of(registry))
    part_of(client, digest).write_bytes(os.urandom(1 << 20))
    registry.faults.clear()
    registry.seen.clear()
    client.pull(name_of(registry))
    assert offsets(registry, digest) == [f"bytes={1 << 20}-", ""]
    assert_whole(client, registry)


def test_half_blobs_are_swept_when_nobody_wants_them(client: Client, registry: FakeRegistry) -> None:
    registry.image("team/app", "1", [LARGE])
    (digest,) = registry.layers_of("team/app", "1")
    registry.faults = [Fault(digest, cut=1 << 20), Fault(digest, cut=0, times=99)]
    with pytest.raises(Broken):
        client.pull(name_of(registry))
    parts = Parts(client.store.blobs)
    changed = client.parts()[0].stat().st_mtime
    parts.sweep(now=changed + KEPT - 1)
    assert len(client.parts()) == 1
    with parts.turn(digest):
        parts.sweep(now=changed + KEPT + 1)
        assert len(client.parts()) == 1
    parts.sweep(now=changed + KEPT + 1)
    assert client.parts() == []


def test_half_blobs_are_counted_and_pruned_unless_somebody_is_at_them(client: Client, registry: FakeRegistry) -> None:
    registry.image("team/app", "1", [LARGE])
    (digest,) = registry.layers_of("team/app", "1")
    registry.faults = [Fault(digest, cut=1 << 20), Fault(digest, cut=0, times=99)]
    with pytest.raises(Broken):
        client.pull(name_of(registry))
    use = image_use(client.store)
    assert use.partial > 1 << 20
    assert min(use.size, use.reclaimable) >= use.partial
    with Parts(client.store.blobs).turn(digest):
        assert image_use(client.store).reclaimable == use.reclaimable - use.partial
        prune(client.store, named=True)
        assert len(client.parts()) == 1
    prune(client.store, named=True, partial=False)
    assert len(client.parts()) == 1
    assert prune(client.store, named=True).collected.freed == use.partial
    assert client.parts() == []
    assert image_use(client.store).partial == 0


# Answers that are wrong


def test_wrong_bytes_name_the_blob(client: Client, registry: FakeRegistry) -> None:
    digest = large(registry)
    registry.faults = [Fault(digest, change=lambda data: data[:-1] + b"?", times=99)]
    with pytest.raises(BadAnswer, match=f"blob {digest} arrives damaged"):
        client.pull(name_of(registry))
    assert client.store.resolve(name_of(registry)) is None
    assert client.leftovers() == []
    assert not client.store.blobs.has(digest)


@pytest.mark.parametrize("length", [10, 99 << 20])
def test_wrong_length(client: Client, registry: FakeRegistry, length: int) -> None:
    digest = large(registry)
    registry.faults = [Fault(digest, length=length, times=99)]
    with pytest.raises(BadAnswer, match=f"sends {length} bytes of blob {digest}"):
        client.pull(name_of(registry))
    assert client.leftovers() == []


def test_a_layer_that_is_another_one(client: Client, registry: FakeRegistry) -> None:
    """The blob is right by its own digest, and still not what the configuration says."""
    registry.image("team/app", "1", [SMALL])
    digest = registry.layers_of("team/app", "1")[0]
    other = gzip.compress(LARGE)
    kind, data = registry.manifests["team/app", "1"]
    size = len(registry.blobs["team/app", digest])
    data = data.replace(digest.encode(), registry.blob("team/app", other).encode())
    data = data.replace(f'"size": {size}'.encode(), f'"size": {len(other)}'.encode())
    registry.manifests["team/app", "1"] = (kind, data)
    with pytest.raises(BadAnswer, match=f"cannot be unpacked: its content is {digest_of(LARGE)}, not"):
        client.pull(name_of(registry))
    assert client.leftovers() == []
    assert client.store.resolve(name_of(registry)) is None
    assert client.store.layers.diff_ids() == []


def test_a_hostile_layer(client: Client, registry: FakeRegistry) -> None:
    registry.image("team/app", "1", [SMALL, some_layer("../outside")])
    with pytest.raises(
        BadAnswer, match=r"cannot pull .*: layer \w{12} cannot be unpacked: .*'\.\./outside'.*leads out"
    ):
        client.pull(name_of(registry))
    assert client.leftovers() == []
    assert not (client.store.layout.layers / "outside").exists()


def test_a_full_disk(client: Client, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = large(registry)
    written, real = [0], os.pwrite

    def pwrite(fd: int, data: bytes, at: int) -> int:
        written[0] += len(data)
        if written[0] > 1 << 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data, at)

    monkeypatch.setattr("os.pwrite", pwrite)
    with pytest.raises(ImageError, match=r"cannot pull .*team/app:1: the disk is full: .* left on ") as caught:
        client.pull(name_of(registry))
    assert "system prune" in caught.value.hint
    assert client.leftovers() == []
    assert not client.store.blobs.has(digest)
    monkeypatch.setattr("os.pwrite", real)
    client.pull(name_of(registry))
    assert_whole(client, registry)


def test_a_manifest_that_is_another_one(client: Client, registry: FakeRegistry) -> None:
    digest = registry.image("team/app", "1", [SMALL])
    registry.faults = [Fault("/manifests/", change=lambda data: data + b" ")]
    with pytest.raises(BadAnswer, match=r"the manifest that .* sends is sha256:"):
        client.pull(f"{registry.host}/team/app@{digest}")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"no JSON", "sends something that is no manifest"),
        (b'{"schemaVersion": 1, "history": []}', "only in the format of 2015"),
        (b'{"schemaVersion": 2, "mediaType": "%s"}' % MANIFEST.encode(), "cannot be read: config of a manifest"),
        (
            b'{"schemaVersion": 2, "mediaType": "%s", "layers": [], "config": {"mediaType": "application/x.helm", '
            b'"digest": "sha256:00", "size": 1}}' % MANIFEST.encode(),
            "it is no container image but application/x.helm",
        ),
        (
            b'{"schemaVersion": 2, "mediaType": "%s", "layers": [], "config": {"mediaType": "%s", '
            b'"digest": "../../etc/passwd", "size": 1}}' % (MANIFEST.encode(), CONFIG.encode()),
            "digest or media type of a descriptor is malformed",
        ),
    ],
)
def test_what_is_no_image(client: Client, registry: FakeRegistry, document: bytes, message: str) -> None:
    registry.manifests["team/app", "1"] = (MANIFEST, document)
    with pytest.raises(ImageError, match=message):
        client.pull(name_of(registry))


def test_redirects_are_followed_without_credentials(client: Client, registry: FakeRegistry) -> None:
    registry.auth, registry.users = "basic", {"bob": "secret"}
    client.configure({"auths": {registry.host: {"username": "bob", "password": "secret"}}})
    digest = large(registry)
    with FakeRegistry().serving() as elsewhere:
        elsewhere.blobs["cdn", digest] = registry.blobs["team/app", digest]
        location = f"http://{elsewhere.host}/v2/cdn/blobs/{digest}"
        registry.faults = [Fault(digest, status=307, headers={"Location": location}, times=9)]
        elsewhere.faults = [Fault(digest, cut=1 << 20)]
        client.pull(name_of(registry))
        assert all("Authorization" not in item.headers for item in elsewhere.seen)
        assert offsets(elsewhere, digest) == ["", f"bytes={1 << 20}-"]
    assert_whole(client, registry)


def test_redirects_in_a_circle(client: Client, registry: FakeRegistry) -> None:
    digest = large(registry)
    registry.faults = [Fault(digest, status=302, headers={"Location": f"/v2/team/app/blobs/{digest}"}, times=99)]
    with pytest.raises(BadAnswer, match="redirects more than 5 times"):
        client.pull(name_of(registry))


def test_a_redirect_to_a_file(client: Client, registry: FakeRegistry) -> None:
    digest = large(registry)
    registry.faults = [Fault(digest, status=302, headers={"Location": "file:///etc/shadow"}, times=99)]
    with pytest.raises(BadAnswer, match="redirects to file:"):
        client.pull(name_of(registry))


# Registries that are busy


def test_a_busy_registry_is_asked_again(client: Client, registry: FakeRegistry) -> None:
    registry.image("team/app", "1", [SMALL])
    registry.faults = [
        Fault("/manifests/1", status=503),
        Fault("/manifests/1", status=429, headers={"Retry-After": "7"}),
        Fault(BLOBS, status=502),
    ]
    client.pull(name_of(registry))
    assert sorted(client.slept) == [0.5, 0.5, 7]


def test_a_registry_that_stays_busy(client: Client, registry: FakeRegistry) -> None:
    registry.image("team/app", "1", [SMALL])
    registry.faults = [Fault("/manifests/1", status=503, times=99)]
    with pytest.raises(Broken, match="answers with an error of its own: 503"):
        client.pull(name_of(registry))
    assert client.slept == [0.5, 1, 2]


def test_a_rate_limit(client: Client, registry: FakeRegistry) -> None:
    registry.image("team/app", "1", [SMALL])
    body = b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your limit."}]}'
    registry.faults = [Fault("/manifests/1", status=429, headers={"Retry-After": "3600"}, body=body, times=99)]
    with pytest.raises(RateLimited, match=r"asked too often \(You have reached your limit\.\)") as caught:
        client.pull(name_of(registry))
    assert "60 min" in caught.value.hint
    assert "stackup login" in caught.value.hint
    assert client.slept == []


# Names


def test_a_tag_that_is_not_there(client: Client, registry: FakeRegistry) -> None:
    for tag in ("1.26", "1.27-alpine", "1.27.1", "stable"):
        registry.image("team/app", tag, [SMALL])
    with pytest.raises(NotThere, match=r"there is no tag 1\.27 of 127") as caught:
        client.pull(name_of(registry, "team/app:1.27"))
    assert caught.value.hint.startswith("tags that there are: 1.27.1, 1.26")


def test_a_repository_that_is_not_there(client: Client, registry: FakeRegistry) -> None:
    with pytest.raises(NotThere, match=r"there is no repository 127.*/team/nothing"):
        client.pull(name_of(registry, "team/nothing:1"))


def test_nobody_listens(client: Client) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening: refused
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable, match=rf"cannot pull {host}/x:1: {host} cannot be reached \(Connection"):
            client.pull(f"{host}/x:1")


def test_a_name_that_nobody_knows(client: Client) -> None:
    with pytest.raises(Unreachable, match=r"the name registry\.invalid cannot be resolved") as caught:
        client.pull("registry.invalid/x:1")
    assert "offline" in caught.value.hint


def test_the_built_in_image_is_not_pulled(client: Client) -> None:
    with pytest.raises(ImageError, match="cannot pull 'host': it is built in"):
        client.pull("host")


def test_a_digest_is_a_pin(client: Client, registry: FakeRegistry) -> None:
    digest = registry.image("team/app", "1", [SMALL])
    registry.image("team/app", "1", [LARGE])
    pinned = f"{registry.host}/team/app:1@{digest}"
    assert client.pull(pinned).digest == digest
    assert client.content(pinned) == {"etc", "bin"}
    registry.seen.clear()
    assert client.pull(pinned).changed is False
    assert registry.seen == []


def test_a_tag_that_moves(client: Client, registry: FakeRegistry) -> None:
    registry.image("team/app", "1", [SMALL])
    before = client.pull(name_of(registry))
    registry.image("team/app", "1", [LARGE])
    after = client.pull(name_of(registry))
    assert after.changed and after.id != before.id
    assert client.content(name_of(registry)) == {"usr", "large"}


# Platforms


@pytest.fixture
def many(registry: FakeRegistry) -> FakeRegistry:
    names = ("linux/amd64", "linux/arm64/v8", "linux/arm/v6", "linux/arm/v7")
    images = {
        name: registry.image("team/app", "", [some_layer(name.replace("/", "-"))], platform=name) for name in names
    }
    registry.index("team/app", "1", {**images, "unknown/unknown": images["linux/amd64"]})
    return registry


def test_the_machines_platform(client: Client, many: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    pulled = client.pull(name_of(many))
    assert client.content(name_of(many)) == {"linux-arm64-v8"}
    image = client.store.resolve(name_of(many))
    assert image is not None
    assert image.digest == pulled.digest == digest_of(many.manifests["team/app", "1"][1])


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("linux/arm/v7", "arm-v7"), ("arm/v8", "arm-v7"), ("linux/arm/v6", "arm-v6"), ("armhf", "arm-v7")],
)
def test_variants(client: Client, many: FakeRegistry, wanted: str, found: str) -> None:
    wanted = wanted if wanted.count("/") != 1 else f"linux/{wanted}"
    client.pull(name_of(many), platform=wanted)
    assert client.content(name_of(many)) == {f"linux-{found}"}


def test_a_platform_that_there_is_not(client: Client, many: FakeRegistry) -> None:
    with pytest.raises(BadAnswer) as caught:
        client.pull(name_of(many), platform="linux/s390x")
    assert "none for linux/s390x, only for linux/amd64, linux/arm64/v8, linux/arm/v6, linux/arm/v7" in str(caught.value)
    assert "unknown" not in str(caught.value)


def test_another_platform_takes_the_name(client: Client, many: FakeRegistry) -> None:
    client.pull(name_of(many), platform="linux/amd64")
    assert client.pull(name_of(many), platform="linux/arm64").changed
    assert client.content(name_of(many)) == {"linux-arm64-v8"}


def test_an_image_for_one_other_platform(client: Client, registry: FakeRegistry) -> None:
    registry.image("team/app", "1", [SMALL], platform="linux/riscv64")
    with pytest.raises(BadAnswer, match="there is none for linux/amd64, only for linux/riscv64"):
        client.pull(name_of(registry), platform="linux/amd64")
    client.pull(name_of(registry))
    assert any("warning: the image is for linux/riscv64" in event.get("text", "") for event in client.events)


def test_an_index_of_nothing(client: Client, registry: FakeRegistry) -> None:
    registry.manifest("team/app", "1", {"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
    with pytest.raises(BadAnswer, match="its index lists no images"):
        client.pull(name_of(registry))


# Who may


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_credentials(client: Client, registry: FakeRegistry, auth: str) -> None:
    registry.auth, registry.users = auth, {"bob": "secret"}
    registry.image("team/app", "1", [SMALL, LARGE])
    client.configure({"auths": {f"https://{registry.host}/v1/": {"auth": "Ym9iOnNlY3JldA=="}}})
    client.pull(name_of(registry))
    assert_whole(client, registry)
    if auth == "token":
        assert registry.count("GET", "/token") == 1
        (asked,) = registry.requests("GET", "/token")
        assert (asked.query["scope"], asked.query["service"]) == (["repository:team/app:pull"], ["fake"])


def test_an_identity_token(client: Client, registry: FakeRegistry) -> None:
    registry.auth, registry.users = "token", {"": "refresh-me"}
    registry.image("team/app", "1", [SMALL])
    client.configure({"auths": {registry.host: {"auth": "Og==", "identitytoken": "refresh-me"}}})
    client.pull(name_of(registry))
    assert registry.count("POST", "/token") == 1


def test_nobody_in_particular_may(client: Client, registry: FakeRegistry) -> None:
    registry.auth = "token"
    registry.image("team/app", "1", [SMALL])
    client.pull(name_of(registry))


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_without_credentials(client: Client, registry: FakeRegistry, auth: str) -> None:
    registry.auth, registry.users = auth, {"bob": "secret"}
    registry.image("team/app", "1", [SMALL])
    with pytest.raises(Denied, match="no credentials are known for it") as caught:
        client.pull(name_of(registry))
    assert caught.value.hint.endswith(f"stackup login {registry.host}")


def test_a_helper_that_is_gone_matters_only_where_credentials_are_wanted(
    client: Client, registry: FakeRegistry
) -> None:
    registry.image("team/app", "1", [SMALL])
    client.configure({"credsStore": "desktop"})
    registry.auth = "token"
    client.pull(name_of(registry))
    registry.auth, registry.users = "basic", {"bob": "secret"}
    with pytest.raises(Denied, match="cannot ask docker-credential-desktop: there is no such program"):
        client.pull(name_of(registry))


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_with_wrong_credentials(client: Client, registry: FakeRegistry, auth: str) -> None:
    registry.auth, registry.users = auth, {"bob": "secret"}
    registry.image("team/app", "1", [SMALL])
    client.configure({"auths": {registry.host: {"username": "bob", "password": "wrong"}}})
    with pytest.raises(Denied, match=r"with the credentials of user bob from .*/\.docker/config\.json"):
        client.pull(name_of(registry))


def test_a_token_that_has_run_out(client: Client, registry: FakeRegistry) -> None:
    registry.auth = "token"
    digest = large(registry)

    def forget(data: bytes) -> bytes:
        registry.tokens.clear()
        return data

    registry.faults = [Fault("/manifests/1", change=forget), Fault(digest, change=forget, cut=1 << 20)]
    client.pull(name_of(registry))
    assert_whole(client, registry)


# Mirrors and settings


def test_a_mirror_is_asked_first(client: Client, registry: FakeRegistry) -> None:
    registry.image("library/redis", "7", [SMALL])
    client.settings(f'[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "{registry.host}"\n')
    assert client.pull("redis:7").reference == "redis:7"
    assert client.store.resolve("docker.io/library/redis:7") is not None


def test_mirrors_that_fail_are_passed_over(client: Client, registry: FakeRegistry) -> None:
    digest = large(registry)
    with FakeRegistry().serving() as broken, FakeRegistry().serving() as damaged:
        damaged.blobs, damaged.manifests = dict(registry.blobs), dict(registry.manifests)
        damaged.faults = [Fault(digest, change=lambda data: b"?" + data[1:], times=99)]
        broken.faults = [Fault("/manifests/", status=500, times=99)]
        mirrors = "".join(f'[[registry.mirror]]\nlocation = "{item.host}"\n' for item in (broken, damaged))
        client.settings(f'[[registry]]\nlocation = "{registry.host}"\n{mirrors}')
        client.pull(name_of(registry))
        assert damaged.count("GET", digest) == 2, "once more, from the beginning"
    assert registry.count("GET", digest) == 1
    assert_whole(client, registry)


def test_when_all_fail_the_mirrors_reasons_are_told_too(client: Client, registry: FakeRegistry) -> None:
    with FakeRegistry().serving() as mirror:
        mirror.faults = [Fault("/manifests/", status=500, times=99)]
        client.settings(
            f'[[registry]]\nlocation = "{registry.host}"\n[[registry.mirror]]\nlocation = "{mirror.host}"\n'
        )
        with pytest.raises(NotThere, match="there is no repository") as caught:
            client.pull(name_of(registry))
        assert f"its mirror {mirror.host}/team/app fails: {mirror.host} answers with an error" in caught.value.hint


def test_through_a_proxy(client: Client, registry: FakeRegistry) -> None:
    """Which is the registry itself here: it is asked with whole URLs, and told who we are."""
    registry.image("team/app", "1", [SMALL])
    client.settings('[[registry]]\nlocation = "registry.invalid"\ninsecure = true\n')
    client.environment["http_proxy"] = f"http://me:pass@{registry.host}"
    client.pull("registry.invalid/team/app:1")
    assert {item.headers["Proxy-Authorization"] for item in registry.seen} == {"Basic bWU6cGFzcw=="}
    client.environment["http_proxy"] = "http://127.0.0.1:1"
    with pytest.raises(Unreachable, match=r"the proxy 127\.0\.0\.1:1 cannot be used") as caught:
        client.pull("registry.invalid/team/app:2")
    assert "NO_PROXY" in caught.value.hint


def test_a_blocked_registry(client: Client, registry: FakeRegistry) -> None:
    client.settings(f'[[registry]]\nlocation = "{registry.host}"\nblocked = true\n')
    with pytest.raises(Blocked, match=r"cannot pull .*: 127\.0\.0\.1:\d+ is blocked"):
        client.pull(name_of(registry))
    assert registry.seen == []


# Several at once


def test_two_at_once_fetch_a_layer_once(client: Client, registry: FakeRegistry, tmp_path: Path) -> None:
    large(registry)
    registry.image("other/app", "1", [SMALL, LARGE])
    second = Client(tmp_path)
    failed: list[BaseException] = []

    def other() -> None:
        try:
            second.pull(name_of(registry, "other/app:1"))
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            failed.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    client.pull(name_of(registry))
    thread.join()
    assert failed == []
    for digest in registry.layers_of("team/app", "1"):
        assert registry.count("GET", digest) == 1
    assert_whole(client, registry)


def test_a_collection_in_the_middle_takes_nothing_away(client: Client, registry: FakeRegistry) -> None:
    digest = large(registry)
    store = client.store

    found = []

    def collect(data: bytes) -> bytes:
        found.append(usage.collect(store.layout, store.blobs, store.layers, store.index))
        store.sweep()
        return data

    registry.faults = [Fault(digest, change=collect)]
    client.pull(name_of(registry))
    assert found == [usage.BUSY]
    assert_whole(client, registry)


def test_an_unreadable_registries_conf_is_named(client: Client) -> None:
    client.settings("registry = 5")
    with pytest.raises(ImageError, match=r"cannot read .*/registries\.conf: it is in the old format"):
        client.pull("redis:7")


def test_errors_cross_processes() -> None:
    error = NotThere("there is no tag 1").about_image("pull", "redis:1")
    again = RegistryError.from_dict(error.to_dict())
    assert isinstance(again, NotThere)
    assert (again.message, again.reason) == ("cannot pull redis:1: there is no tag 1", "there is no tag 1")
