"""registries.conf, certs.d, proxies: whom to ask, through whom, and whom to trust."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackup.base.errors import ImageError
from stackup.images.registry.caller import Caller, relevant
from stackup.images.registry.errors import Blocked
from stackup.images.registry.login import registry_name
from stackup.images.registry.proxies import proxy_for
from stackup.images.registry.settings import Settings, load_settings
from stackup.images.registry.trust import directories
from stackup.oci.reference import parse


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    return Caller({"HOME": str(tmp_path / "home")}, tmp_path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def settings(caller: Caller, text: str) -> Settings:
    write(caller.etc / "containers/registries.conf", text)
    return load_settings(caller)


def places(found: Settings, reference: str) -> list[str]:
    return [str(item) for item in found.endpoints(parse(reference))]


def test_nothing_is_configured(caller: Caller) -> None:
    (endpoint,) = load_settings(caller).endpoints(parse("redis:7"))
    assert (str(endpoint), endpoint.address) == ("docker.io/library/redis", "registry-1.docker.io")
    assert not endpoint.insecure


def test_mirrors_come_first(caller: Caller) -> None:
    found = settings(
        caller,
        """
        unqualified-search-registries = ["docker.io"]
        [[registry]]
        location = "docker.io"
        [[registry.mirror]]
        location = "mirror.example:5000/hub"
        insecure = true
        [[registry.mirror]]
        location = "second.example"
        """,
    )
    assert places(found, "redis:7") == [
        "mirror.example:5000/hub/library/redis",
        "second.example/library/redis",
        "docker.io/library/redis",
    ]
    assert [item.insecure for item in found.endpoints(parse("redis"))] == [True, False, False]
    assert [str(item) for item in found.endpoints(parse("redis"), push=True)] == ["docker.io/library/redis"]
    assert places(found, "ghcr.io/a/b") == ["ghcr.io/a/b"]


def test_mirrors_for_digests_or_tags(caller: Caller) -> None:
    found = settings(
        caller,
        """
        [[registry]]
        location = "a.example"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "one.example"
        [[registry.mirror]]
        location = "two.example"
        pull-from-mirror = "tag-only"
        """,
    )
    assert places(found, "a.example/x:1") == ["two.example/x", "a.example/x"]
    assert places(found, "a.example/x@sha256:" + "0" * 64) == ["one.example/x", "a.example/x"]


def test_the_longest_prefix_wins_at_a_border(caller: Caller) -> None:
    found = settings(
        caller,
        """
        [[registry]]
        prefix = "a.example/team"
        location = "b.example:5000/moved"
        [[registry]]
        prefix = "a.example"
        blocked = true
        [[registry]]
        prefix = "*.lab.example"
        insecure = true
        """,
    )
    assert places(found, "a.example/team/app:1") == ["b.example:5000/moved/app"]
    with pytest.raises(Blocked, match=r"a\.example is blocked") as caught:
        places(found, "a.example/teams/app:1")
    assert "registries.conf" in caught.value.hint
    assert places(found, "x.lab.example:5000/app") == ["x.lab.example:5000/app"]
    assert found.endpoints(parse("x.lab.example:5000/app"))[0].insecure
    assert not found.endpoints(parse("lab.example.org/app"))[0].insecure


def test_where_settings_are_looked_for(caller: Caller, tmp_path: Path) -> None:
    def table(prefix: str, location: str) -> str:
        return f'[[registry]]\nprefix = "{prefix}"\nlocation = "{location}"\n'

    write(caller.etc / "containers/registries.conf", table("a.example", "system.example"))
    write(caller.etc / "containers/registries.conf.d/10.conf", table("b.example", "dropin.example"))
    assert places(load_settings(caller), "a.example/x") == ["system.example/x"]
    assert places(load_settings(caller), "b.example/x") == ["dropin.example/x"]
    write(tmp_path / "home/.config/containers/registries.conf", table("a.example", "own.example"))
    write(tmp_path / "home/.config/containers/registries.conf.d/20.conf", table("b.example", "late.example"))
    assert places(load_settings(caller), "a.example/x") == ["own.example/x"]
    assert places(load_settings(caller), "b.example/x") == ["late.example/x"]
    write(tmp_path / "given.conf", table("a.example", "given.example"))
    given = Caller({**caller.environment, "CONTAINERS_REGISTRIES_CONF": str(tmp_path / "given.conf")}, tmp_path)
    assert places(load_settings(given), "a.example/x") == ["given.example/x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[registry]\n", "Expected"),
        ("[registries.search]\nregistries = []\n[registry]\n", "old format"),
        ("[[registry]]\nblocked = true\n", "neither a prefix nor a location"),
        ('[[registry]]\nlocation = "https://a.example"\n', "without https://"),
        ('[[registry]]\nlocation = "a.example"\ninsecure = "yes"\n', "insecure is neither true nor false"),
        ('[[registry]]\nlocation = "a.example"\n[[registry.mirror]]\ninsecure = true\n', "a mirror has no location"),
    ],
)
def test_a_mistake_in_the_file(caller: Caller, text: str, message: str) -> None:
    with pytest.raises(ImageError, match=rf"cannot read .*registries\.conf: .*{message}"):
        settings(caller, text)


def test_certificates_are_kept_by_host_and_port(caller: Caller, tmp_path: Path) -> None:
    assert list(directories(caller, "a.example:5000")) == [
        tmp_path / "home/.config/containers/certs.d/a.example:5000",
        tmp_path / "etc/containers/certs.d/a.example:5000",
        tmp_path / "etc/docker/certs.d/a.example:5000",
    ]


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://a.example/v2/", {"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
        ("https://a.example/v2/", {"https_proxy": "p:3128"}, "http://p:3128"),
        ("https://a.example/v2/", {"HTTP_PROXY": "http://p:3128"}, ""),
        ("http://a.example/v2/", {"HTTP_PROXY": "http://p:3128"}, "http://p:3128"),
        ("https://a.example/v2/", {"ALL_PROXY": "http://p:3128"}, "http://p:3128"),
        ("https://127.0.0.1:5000/", {"HTTPS_PROXY": "http://p:3128"}, ""),
        ("https://localhost/", {"HTTPS_PROXY": "http://p:3128"}, ""),
        ("https://a.example/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "b.example, a.example"}, ""),
        ("https://x.a.example/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "a.example"}, ""),
        ("https://x.a.example/", {"HTTPS_PROXY": "http://p", "NO_PROXY": ".a.example"}, ""),
        ("https://a.example/", {"HTTPS_PROXY": "http://p", "NO_PROXY": ".a.example"}, "http://p"),
        ("https://xa.example/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "a.example"}, "http://p"),
        ("https://a.example:444/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "a.example:443"}, "http://p"),
        ("https://192.0.2.7/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "192.0.2.0/24"}, ""),
        ("https://[2001:db8::1]/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "2001:db8::1"}, ""),
        ("https://a.example/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "*"}, ""),
    ],
)
def test_proxies(url: str, environment: dict[str, str], proxy: str) -> None:
    assert proxy_for(url, environment) == proxy


def test_only_what_matters_of_the_environment_is_handed_on() -> None:
    assert relevant({"HOME": "/h", "AWS_SECRET_ACCESS_KEY": "x", "no_proxy": "a"}) == {"HOME": "/h", "no_proxy": "a"}


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("https://a.example:5000/v2/", "a.example:5000"),
        ("a.example", "a.example"),
    ],
)
def test_registry_names(text: str, host: str) -> None:
    assert registry_name(text) == host
