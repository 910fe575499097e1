"""What registries have newer: pulled images, pins, and the bases that images note."""

from __future__ import annotations

from image_support import make_image
from registry_support import Client

from stackup.images.comparing import BASE_DIGEST, BASE_NAME
from stackup.images.outdated import CURRENT, OUTDATED, UNKNOWN, Freshness, check, subjects
from tests.support.archives import Archive
from tests.support.fakeregistry import FakeRegistry, some_layer


def asked(client: Client, names: list[str] | None = None) -> list[Freshness]:
    registries = client.registries()
    try:
        return check(registries, subjects(client.store, names))
    finally:
        registries.close()


def test_pulled_images(client: Client, registry: FakeRegistry) -> None:
    for name in ("one", "two", "gone"):
        registry.image(f"team/{name}", "1", [some_layer(name)])
        client.pull(f"{registry.host}/team/{name}:1")
    make_image(client.store, "built", [Archive().add("x", b"").data()])
    registry.seen.clear()
    newer = registry.image("team/two", "1", [some_layer("two", "more")])
    registry.manifests.pop(("team/gone", "1"))
    found = {item.subject.image.rpartition("/")[2]: item for item in asked(client)}
    assert found["one:1"].state == CURRENT
    assert (found["two:1"].state, found["two:1"].newest) == (OUTDATED, newer)
    assert (found["gone:1"].state, found["gone:1"].newest) == (UNKNOWN, "") and found["gone:1"].reason
    assert len(found) == 3
    asked_for = [item.path.rpartition("/v2/team/")[2] for item in registry.requests("GET", "/manifests/")]
    assert asked_for == [f"two/manifests/{newer}"], "registries count these as pulls"


def test_pins_and_bases(client: Client, registry: FakeRegistry) -> None:
    old = registry.image("base", "1", [some_layer("old")])
    new = registry.image("base", "1", [some_layer("new")])
    notes = {BASE_NAME: f"{registry.host}/base:1", BASE_DIGEST: old}
    make_image(client.store, "built", [Archive().add("x", b"").data()], annotations=notes)
    make_image(client.store, "fresh", [Archive().add("y", b"").data()], annotations={**notes, BASE_DIGEST: new})
    pin = f"{registry.host}/base:1@{old}"
    found = [(item.subject.about, item.state, item.newest) for item in asked(client, ["built", "fresh", pin])]
    assert found == [("pin", OUTDATED, new), ("base", OUTDATED, new), ("base", CURRENT, new)]
    assert asked(client, ["nosuch", f"{registry.host}/base@{old}"]) == []  # nothing to ask for without a tag


def test_a_registry_that_cannot_be_asked(client: Client, registry: FakeRegistry) -> None:
    pin = f"127.0.0.1:1/base:1@sha256:{'1' * 64}"
    (found,) = asked(client, [pin])
    assert found.state == UNKNOWN and found.reason
