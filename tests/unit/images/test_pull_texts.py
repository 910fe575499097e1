"""What people read of a pull that cannot be, or that takes long: the sentence, and hints that are of use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from image_support import make_image
from registry_support import Client

from stackup.base.errors import ImageError
from stackup.images import artifacts
from stackup.images.registry.errors import BadAnswer, Broken, Denied, RateLimited, RegistryError, Unreachable
from stackup.oci.platforms import parse_platform
from tests.support.fakeregistry import INDEX, FakeRegistry, Fault, digest_of, some_layer

SMALL = some_layer("etc")
LARGE = some_layer("usr", size=4 << 20)


def notes(client: Client) -> list[str]:
    return [event["text"] for event in client.events if event.get("kind") == "note"]


# How often a registry is asked, and what of it is told


@pytest.mark.parametrize("status", [500, 429])
def test_a_registry_that_fails_is_waited_for_once(client: Client, status: int) -> None:
    """The image is here, so its digest is asked for first."""
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL])
        client.pull(f"{registry.host}/team/app:1")
        registry.seen.clear()
        registry.faults = [Fault("/manifests/", method=method, status=status, times=99) for method in ("HEAD", "GET")]
        with pytest.raises(Broken if status == 500 else RateLimited):
            client.pull(f"{registry.host}/team/app:1")
        assert (registry.count("HEAD", "/manifests/"), registry.count("GET", "/manifests/")) == (4, 0)


def test_a_registry_that_does_not_know_head_is_asked_otherwise(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL])
        client.pull(f"{registry.host}/team/app:1")
        registry.faults = [Fault("/manifests/", method="HEAD", status=405)]
        assert client.pull(f"{registry.host}/team/app:1").changed is False


def test_another_attempt_names_its_layer(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL, LARGE])
        layers = registry.layers_of("team/app", "1")
        registry.faults = [Fault(layer, status=500) for layer in layers]
        client.pull(f"{registry.host}/team/app:1")
        assert sorted(notes(client)) == sorted(
            f"{layer[7:19]}: {registry.host} answers 500; retrying (2 of 4)" for layer in layers
        )


def test_one_that_always_breaks_fills_no_screen(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [LARGE])
        (layer,) = registry.layers_of("team/app", "1")
        registry.faults = [Fault(layer, cut=100_000, times=35)]
        client.pull(f"{registry.host}/team/app:1")
        assert registry.count("GET", layer) == 36
    told = notes(client)
    assert [text.rpartition("; ")[2] for text in told] == [
        f"going on at {size} MB" for size in ("0.1", "0.2", "0.3", "0.4", "0.8", "1.6", "3.2")
    ]
    assert told[-1].startswith(f"{layer[7:19]}: the connection to ")
    assert ", for the 32th time;" in told[-1]


# Indexes


def test_a_variant_that_only_the_index_names(client: Client) -> None:
    """Configurations made before 2019 have none."""
    with FakeRegistry().serving() as registry:
        images = {
            f"linux/arm/{variant}": registry.image("team/app", "", [some_layer(variant)], platform="linux/arm")
            for variant in ("v6", "v7")
        }
        registry.index("team/app", "1", images)
        name = f"{registry.host}/team/app:1"
        client.pull(name, platform="linux/arm/v6")
        assert client.content(name) == {"v6"}
        image = client.store.resolve(name)
        assert image is not None and image.platform == parse_platform("linux/arm/v6")
        registry.seen.clear()
        assert client.pull(name, platform="linux/arm/v6").changed is False
        assert registry.count("GET", "/manifests/") == 0
        client.pull(name, platform="linux/arm/v7")
        assert client.content(name) == {"v7"}


def test_an_index_and_its_image_may_not_differ_otherwise(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.index(
            "team/app", "1", {"linux/arm/v6": registry.image("team/app", "", [SMALL], platform="linux/s390x")}
        )
        with pytest.raises(BadAnswer, match="there is none for linux/arm/v6, only for linux/s390x"):
            client.pull(f"{registry.host}/team/app:1", platform="linux/arm/v6")


def entries(registry: FakeRegistry, *items: dict[str, Any]) -> None:
    registry.manifest("team/app", "1", {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(items)})


@pytest.mark.parametrize("platform", [None, {"os": "linux", "architecture": "amd64"}], ids=["without", "with"])
def test_an_index_within_an_index(client: Client, platform: dict[str, str] | None) -> None:
    with FakeRegistry().serving() as registry:
        inner = registry.index("team/app", "inner", {"linux/amd64": registry.image("team/app", "", [SMALL])})
        size = len(registry.manifests["team/app", inner][1])
        about = {"platform": platform} if platform else {}
        entries(registry, {"mediaType": INDEX, "digest": inner, "size": size, **about})
        with pytest.raises(BadAnswer, match="it is an index within an index") as caught:
            client.pull(f"{registry.host}/team/app:1", platform="linux/amd64")
        *_, name = caught.value.hint.split(" ")
        assert name == f"{registry.host}/team/app@{inner}"
        client.pull(name, platform="linux/amd64")


def test_an_index_of_nothing(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        entries(registry)
        with pytest.raises(BadAnswer, match="its index lists no images") as caught:
            client.pull(f"{registry.host}/team/app:1")
    assert caught.value.hint == ""


def test_an_index_that_does_not_tell(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        digest = registry.image("team/app", "x", [SMALL])
        kind, data = registry.manifests["team/app", digest]
        entries(registry, {"mediaType": kind, "digest": digest, "size": len(data)})
        with pytest.raises(BadAnswer, match="does not say which platforms") as caught:
            client.pull(f"{registry.host}/team/app:1")
        assert caught.value.hint == f"choose one by its digest, such as {registry.host}/team/app@{digest}"


# Hints


def test_offline_there_is_no_other_way_for_a_stack(client: Client, tmp_path: Path) -> None:
    registries = client.registries()
    with pytest.raises(Unreachable) as caught:
        artifacts.fetch("oci://registry.invalid/team/stack:1", tmp_path / "cache", registries)
    registries.close()
    assert caught.value.hint == "is this machine offline?"


@pytest.mark.parametrize("name", ["ALL_PROXY", "HTTPS_PROXY"])
def test_a_proxy_of_another_kind(client: Client, name: str) -> None:
    client.environment[name] = "socks5://user:secret@127.0.0.1:1080"
    with pytest.raises(Unreachable) as caught:
        client.pull("registry.invalid/x:1")
    assert caught.value.reason == ("the proxy socks5://127.0.0.1:1080 is not supported: only those that speak HTTP are")
    assert "ALL_PROXY" in caught.value.hint
    assert notes(client) == client.slept == []


@pytest.mark.parametrize("proxy", ["http://[", "http://a:port"])
def test_a_proxy_that_is_no_address(client: Client, proxy: str) -> None:
    client.environment["HTTPS_PROXY"] = proxy
    with pytest.raises(Unreachable, match="the proxy that is set is not an address"):
        client.pull("registry.invalid/x:1")
    assert notes(client) == []


def test_certificates_that_are_not_there(client: Client) -> None:
    client.environment["SSL_CERT_FILE"] = "/nonexistent"
    with pytest.raises(Unreachable, match="the certificates in /nonexistent cannot be used: No such file") as caught:
        client.pull("registry.invalid/x:1")
    assert "SSL_CERT_FILE" in caught.value.hint
    assert notes(client) == []


def helper(client: Client, script: str) -> None:
    directory = client.home / "bin"
    directory.mkdir()
    (directory / "docker-credential-own").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "docker-credential-own").chmod(0o755)
    client.environment["PATH"] = f"{directory}:/usr/bin:/bin"
    client.configure({"credsStore": "own"})


def refused(client: Client, auth: str = "basic") -> RegistryError:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL])
        registry.auth, registry.users = auth, {"bob": "secret"}
        with pytest.raises(Denied) as caught:
            client.pull(f"{registry.host}/team/app:1")
    return caught.value


def test_a_configuration_file_that_cannot_be_read(client: Client) -> None:
    client.configure({})
    client.caller.docker_config.write_text("[" * 100_000)
    error = refused(client)
    assert ", and stackup cannot read " in error.message
    assert error.message.endswith("config.json: it is not JSON: it is nested too deeply")
    assert error.hint.startswith("it is where docker and stackup keep logins: mend it")


@pytest.mark.parametrize("script", ["echo no key ring; exit 1", "echo '[]'", "printf '\\377'"])
def test_a_helper_that_fails(client: Client, script: str) -> None:
    helper(client, script)
    error = refused(client)
    assert "docker-credential-own" in error.message
    assert "stackup login" not in error.hint
    assert "docker-credential-own get" in error.hint


def test_who_is_not_logged_in(client: Client) -> None:
    """What is to be sent need not exist beforehand."""
    error = refused(client)
    pulled, host = error.hint, error.reason.split()[0]
    assert pulled.endswith(f": stackup login {host}") and "what does not exist" in pulled
    with FakeRegistry().serving() as registry:
        registry.auth = "basic"
        make_image(client.store, f"{registry.host}/team/app:1", [SMALL])
        with pytest.raises(Denied) as caught:
            client.push(f"{registry.host}/team/app:1")
        assert caught.value.hint == f"stackup login {registry.host}"


def test_a_mirror_beside_a_refusal(client: Client) -> None:
    with FakeRegistry().serving() as registry, FakeRegistry().serving() as mirror:
        registry.auth = "basic"
        client.settings(
            f'[[registry]]\nlocation = "{registry.host}"\n[[registry.mirror]]\nlocation = "{mirror.host}"\n'
        )
        with pytest.raises(Denied) as caught:
            client.pull(f"{registry.host}/team/app:1")
        first, second = caught.value.hint.split("\n")
        assert first.endswith(f": stackup login {registry.host}")
        assert second == f"its mirror {mirror.host}/team/app says: there is no repository {mirror.host}/team/app"


def test_a_token_where_a_password_is_wanted(client: Client) -> None:
    helper(client, 'echo \'{"Username": "<token>", "Secret": "x"}\'')
    assert "wants a user and a password instead of a token, with the credentials of the token from docker-" in str(
        refused(client)
    )


def limited(client: Client, registry: FakeRegistry, wait: str) -> list[str]:
    registry.faults = [Fault("/manifests/", status=429, headers={"Retry-After": wait}, times=99)]
    with pytest.raises(RateLimited) as caught:
        client.pull(f"{registry.host}/team/app:1")
    return caught.value.hint.split("\n")


def test_a_rate_limit(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL])
        login = f"many registries allow more after `stackup login {registry.host}`"
        mirror = "a mirror in registries.conf saves requests"
        assert limited(client, registry, "40") == ["it may be asked again in 40 s", login, mirror]
        assert limited(client, registry, "3600") == ["it may be asked again in 60 min", login, mirror]
        assert limited(client, registry, "9" * 400) == [login, mirror]
        client.configure({"auths": {registry.host: {"username": "bob", "password": "secret"}}})
        assert limited(client, registry, "0") == [mirror]


def test_a_refusal_from_elsewhere(client: Client) -> None:
    """Of a store of blobs, where none of the registry's credentials were sent."""
    with FakeRegistry().serving() as registry, FakeRegistry().serving() as elsewhere:
        registry.image("team/app", "1", [SMALL])
        (layer,) = registry.layers_of("team/app", "1")
        registry.faults = [Fault(layer, status=307, headers={"Location": f"http://{elsewhere.host}/blob"})]
        elsewhere.faults = [Fault("/blob", status=403)]
        client.configure({"auths": {registry.host: {"username": "bob", "password": "secret"}}})
        with pytest.raises(Denied) as caught:
            client.pull(f"{registry.host}/team/app:1")
    assert caught.value.reason == f"{elsewhere.host}, where {registry.host} points to, denies access"


def test_words_of_a_registry_stay_in_their_line(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        said = {"errors": [{"code": "NO", "message": "no\x1b[31m\nerror: fake " + "x" * 5000}]}
        registry.faults = [Fault("/manifests/", status=400, body=json.dumps(said).encode())]
        with pytest.raises(BadAnswer) as caught:
            client.pull(f"{registry.host}/team/app:1")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


def test_tags_that_are_none_are_not_suggested(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1.2", [SMALL])
        tags = {"name": "team/app", "tags": ["1.2", "\x1b[31mred", "a\nb", 7, "x" * 200]}
        registry.faults = [Fault("/tags/", status=200, body=json.dumps(tags).encode())]
        with pytest.raises(RegistryError) as caught:
            client.pull(f"{registry.host}/team/app:1")
    assert caught.value.hint == "tags that there are: 1.2"


# What stays


def test_of_what_never_began_to_arrive_nothing_is_left(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL])
        (layer,) = registry.layers_of("team/app", "1")
        registry.faults = [Fault(layer, length=99 << 20)]
        with pytest.raises(BadAnswer):
            client.pull(f"{registry.host}/team/app:1")
    left = {path.name for path in (client.store.layout.images / ".parts").iterdir() if path.suffix != ".lock"}
    assert left == set()
    assert digest_of(SMALL) not in client.store.layers.diff_ids()


def test_a_reference_that_cannot_be_pulled(client: Client) -> None:
    with pytest.raises(ImageError, match="built in"):
        client.pull("host")
