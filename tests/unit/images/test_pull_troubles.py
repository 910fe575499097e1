"""What is said, and what is not done, when registries, mirrors, proxies and settings are not as they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from registry_support import Client

from stackup.base.values import changed
from stackup.images import artifacts
from stackup.images.pulling import pull
from stackup.images.registry.errors import Broken, Denied, NotThere, Unreachable
from stackup.images.registry.settings import load_settings
from stackup.images.registry.transport import Answer, Transport
from tests.support.fakeregistry import FakeRegistry, Fault, some_layer

SMALL = some_layer("etc")


# Another attempt


def notes(client: Client) -> list[str]:
    return [event["text"] for event in client.events if event.get("kind") == "note"]


def test_another_attempt_is_told(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL])
        layer = registry.layers_of("team/app", "1")[0]
        registry.faults = [Fault(layer, cut=10, times=2), Fault("/manifests/", status=503)]
        client.pull(f"{registry.host}/team/app:1")
        first, second, third = notes(client)
    assert first == f"{registry.host} answers 503; retrying (2 of 4)"
    assert second.startswith(f"{layer[7:19]}: the connection to {registry.host} broke (it ended ")
    assert (second[-18:], third[-18:]) == (" retrying (2 of 4)", " retrying (3 of 4)")


def test_bytes_that_were_damaged_on_their_way_are_fetched_once_more(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL])
        layer = registry.layers_of("team/app", "1")[0]
        registry.faults = [Fault(layer, change=lambda data: data[:-1] + b"?")]
        client.pull(f"{registry.host}/team/app:1")
        assert registry.count("GET", layer) == 2
    assert notes(client) == [f"{layer[7:19]}: damaged on its way; fetched once more"]


def test_an_attempt_elsewhere_keeps_what_has_arrived(client: Client) -> None:
    """The mirror breaks off for good; the registry knows no ranges, and breaks off before it has come as far."""
    with FakeRegistry().serving() as registry, FakeRegistry().serving() as mirror:
        for item in (registry, mirror):
            item.image("team/app", "1", [some_layer("etc", size=3 << 20)])
        layer = registry.layers_of("team/app", "1")[0]
        mirror.faults = [Fault(layer, cut=2 << 20), Fault(layer, cut=0, times=9)]
        registry.faults = [Fault(layer, whole=True, cut=1 << 20, times=9)]
        mirrored(client, registry.host, mirror.host)
        with pytest.raises(Broken):
            client.pull(f"{registry.host}/team/app:1")
        assert [path.stat().st_size for path in client.parts()] == [2 << 20]
        registry.faults = [Fault(layer, whole=True)]
        client.pull(f"{registry.host}/team/app:1")
    assert client.content(f"{registry.host}/team/app:1") == {"etc", "large"}


def test_a_connection_that_is_too_slow_is_broken_off(client: Client) -> None:
    client.patience = changed(client.patience, slowest=1e15, window=0.0)
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [some_layer("etc", size=1 << 20)])
        with pytest.raises(Broken, match="sends less than"):
            client.pull(f"{registry.host}/team/app:1")


def test_when_a_layer_has_failed_the_others_are_given_up(client: Client) -> None:
    """The first one would be silent for a minute."""
    client.patience = changed(client.patience, read=60)
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [some_layer("etc", size=1 << 20), SMALL])
        silent, missing = registry.layers_of("team/app", "1")
        registry.blobs.pop(("team/app", missing))
        registry.faults = [Fault(silent, stall=1 << 19), Fault(silent, hang=True, times=9)]
        with pytest.raises(NotThere):
            client.pull(f"{registry.host}/team/app:1")
        assert registry.count("GET", silent) <= 1, "its silence was not waited for"


def test_where_another_image_will_do_there_is_one_attempt(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.faults = [Fault("/manifests/", status=503, times=99)]
        registries = client.registries()
        with pytest.raises(Broken):
            pull(client.store, f"{registry.host}/team/app:1", registries, client.events.append, quick=True)
        registries.close()
        assert registry.count("GET", "/manifests/") == 1
    assert client.slept == notes(client) == []


# Texts


def mirrored(client: Client, location: str, mirror: str) -> None:
    client.settings(f'[[registry]]\nlocation = "{location}"\n[[registry.mirror]]\nlocation = "{mirror}"\n')


def test_a_mirror_that_answers_is_right_where_the_registry_cannot_be_reached(client: Client) -> None:
    with FakeRegistry().serving() as mirror:
        mirror.image("team/app", "1.2", [SMALL])
        mirrored(client, "registry.invalid", mirror.host)
        with pytest.raises(NotThere, match=rf"there is no tag 1 of {mirror.host}/team/app$") as caught:
            client.pull("registry.invalid/team/app:1")
    first, second = caught.value.hint.split("\n")
    assert first == "tags that there are: 1.2"
    assert second.startswith("the registry itself, registry.invalid/team/app, could not be asked: the name")


def test_a_repository_whose_manifests_only_are_unknown(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        unknown = b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'
        registry.faults = [Fault("/manifests/", status=404, body=unknown, times=9)]
        with pytest.raises(NotThere, match="there is no repository"):
            client.pull(f"{registry.host}/team/app:1")


def test_the_tags_of_a_published_stack(client: Client, tmp_path: Path) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/stack", "v2", [SMALL])
        registries = client.registries()
        with pytest.raises(NotThere, match=r"cannot read oci://.*: there is no tag v1 of") as caught:
            artifacts.fetch(f"oci://{registry.host}/team/stack:v1", tmp_path / "cache", registries)
        registries.close()
    assert caught.value.hint == "tags that there are: v2"


def test_what_is_missing_is_named(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL])
        layer = registry.layers_of("team/app", "1")[0]
        registry.blobs.pop(("team/app", layer))
        with pytest.raises(NotThere, match=f"{registry.host} does not have blob {layer} of team/app"):
            client.pull(f"{registry.host}/team/app:1")


def test_a_broken_answer_is_told_in_our_own_words(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL])
        registry.faults = [Fault("/blobs/", cut=10, times=99)]
        with pytest.raises(Broken, match=r"the connection to 127[^ ]* broke \(it ended \d+ bytes too early\)$"):
            client.pull(f"{registry.host}/team/app:1")


def test_offline(client: Client) -> None:
    with pytest.raises(Unreachable) as caught:
        client.pull("registry.invalid/x:1")
    assert "`stackup load`" in caught.value.hint


def test_a_credential_helper_that_is_not_installed(client: Client) -> None:
    client.configure({"credsStore": "nowhere"})
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL])
        registry.auth = "basic"
        with pytest.raises(Denied, match="there is no such program") as caught:
            client.pull(f"{registry.host}/team/app:1")
    assert "install it, or take credsStore or credHelpers out of the file" in caught.value.hint


def test_settings_in_the_old_format_are_warned_of(client: Client) -> None:
    client.settings('[registries.insecure]\nregistries = ["a.example"]\n')
    (warning,) = load_settings(client.caller).warnings
    assert warning.endswith("[registries.insecure] of the old format (version 1) is passed over; use [[registry]]")


# What insecure = true allows, and what it does not


def test_a_proxy_that_fails_is_no_reason_to_go_without_encryption(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL])
        client.settings('[[registry]]\nlocation = "registry.invalid"\ninsecure = true\n')
        client.environment |= {"https_proxy": "http://127.0.0.1:1", "http_proxy": f"http://{registry.host}"}
        with pytest.raises(Unreachable, match=r"the proxy 127\.0\.0\.1:1 cannot be used"):
            client.pull("registry.invalid/team/app:1")
        assert registry.seen == []


def test_certificates_of_other_hosts_are_checked_all_the_same(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    checks: set[tuple[str, bool]] = set()
    opened = Transport.open

    def recorded(self: Transport, method: str, url: str, *args: Any, checked: bool = True) -> Answer:
        checks.add((urlsplit(url).hostname or "", checked))
        return opened(self, method, url, *args, checked=checked)

    monkeypatch.setattr(Transport, "open", recorded)
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [SMALL])
        layer = registry.layers_of("team/app", "1")[0]
        elsewhere = f"http://localhost:{registry.host.rpartition(':')[2]}/v2/team/app/blobs/{layer}"
        registry.faults = [Fault(layer, status=307, headers={"Location": elsewhere})]
        client.settings(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
        client.pull(f"{registry.host}/team/app:1")
    assert checks == {("127.0.0.1", False), ("localhost", True)}
