"""Stacks in registries: published, fetched, included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from registry_support import Client

from stackup.base.errors import ImageError, StackFileError
from stackup.images.artifacts import EMPTY, ENV_FILE, OLD_CONFIG, PROJECT, STACK_FILE, File, fetch, publish
from stackup.images.registry.errors import BadAnswer, NotThere
from stackup.stackfile import LoadRequest, load
from tests.support.fakeregistry import MANIFEST, FakeRegistry, Fault

WEB = File("compose.yaml", b"services: {web: {image: nginx, environment: {A: '1'}}}\n")
OVER = File("over.yaml", b"services: {web: {image: 'nginx:2'}}\n")
ENV = File("web.env", b"A=2\n", ENV_FILE)


def sent(client: Client, registry: FakeRegistry, *files: File) -> str:
    registries = client.registries()
    try:
        return publish(f"{registry.host}/team/stack:1", files, registries)
    finally:
        registries.close()


def fetched(client: Client, registry: FakeRegistry, tag: str = ":1") -> dict[str, str]:
    registries = client.registries()
    try:
        path = fetch(f"oci://{registry.host}/team/stack{tag}", client.home / "cache", registries)
    finally:
        registries.close()
    return {item.name: item.read_text() for item in path.iterdir()}


def test_there_and_back(client: Client, registry: FakeRegistry) -> None:
    digest = sent(client, registry, WEB, OVER, ENV)
    assert sent(client, registry, WEB, OVER, ENV) == digest
    document = json.loads(registry.manifests["team/stack", "1"][1])
    assert (document["artifactType"], document["config"]["mediaType"]) == (PROJECT, EMPTY)
    assert [layer["mediaType"] for layer in document["layers"]] == [STACK_FILE, STACK_FILE, ENV_FILE]
    assert document["layers"][1]["annotations"]["com.docker.compose.file"] == "over.yaml"
    files = fetched(client, registry)
    assert set(files) == {"compose.yaml", "web.env"}
    assert files["compose.yaml"] == f"{WEB.data.decode()}\n---\n{OVER.data.decode()}"
    registry.seen.clear()
    assert fetched(client, registry, f"@{digest}") == files
    assert registry.seen == []
    fetched(client, registry)
    assert [item.method for item in registry.seen if item.path != "/v2/"] == ["HEAD"]


def test_a_registry_that_takes_images_only(client: Client, registry: FakeRegistry) -> None:
    registry.faults = [Fault("/manifests/", "PUT", status=400)]
    sent(client, registry, WEB)
    document = json.loads(registry.manifests["team/stack", "1"][1])
    assert "artifactType" not in document
    assert document["config"]["mediaType"] == OLD_CONFIG
    assert set(fetched(client, registry)) == {"compose.yaml"}


def artifact(registry: FakeRegistry, *layers: dict[str, Any], kind: str = PROJECT) -> None:
    config = {"mediaType": EMPTY, "digest": registry.blob("team/stack", b"{}"), "size": 2}
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": config}
    registry.manifest("team/stack", "1", {**document, "layers": list(layers)})


def layer(registry: FakeRegistry, name: str, key: str = "com.docker.compose.file", **more: Any) -> dict[str, Any]:
    digest = registry.blob("team/stack", WEB.data)
    return {"mediaType": STACK_FILE, "digest": digest, "size": len(WEB.data), "annotations": {key: name}, **more}


@pytest.mark.parametrize(
    ("layers", "kind", "message"),
    [
        ([], PROJECT, "there is no stack file in it"),
        ([{}], "application/x.helm", "it is no published stack but application/x.helm"),
        ([{"name": "../x"}], PROJECT, "the name of a file in it, '../x', leads elsewhere"),
        ([{"size": 99 << 20}], PROJECT, "or one of more than 4 MiB"),
    ],
)
def test_what_is_not_taken(
    client: Client, registry: FakeRegistry, layers: list[dict[str, Any]], kind: str, message: str
) -> None:
    found = [
        {**layer(registry, item.get("name", "a.yaml")), **{k: v for k, v in item.items() if k != "name"}}
        for item in layers
    ]
    artifact(registry, *found, kind=kind)
    with pytest.raises(BadAnswer, match=message):
        fetched(client, registry)


def test_damaged_on_the_way(client: Client, registry: FakeRegistry) -> None:
    sent(client, registry, WEB)
    registry.faults = [Fault("/blobs/", change=lambda data: data[::-1])]
    with pytest.raises(BadAnswer, match="arrives damaged"):
        fetched(client, registry)
    assert not list((client.home / "cache").glob("[0-9a-f]*"))


def test_not_there(client: Client, registry: FakeRegistry) -> None:
    with pytest.raises(NotThere, match=r"cannot read oci://127.*/team/stack:1: "):
        fetched(client, registry)


def test_a_digest_is_not_published_to(client: Client, registry: FakeRegistry) -> None:
    with pytest.raises(ImageError, match="name a tag"):
        publish(f"{registry.host}/a@sha256:{'0' * 64}", [WEB], client.registries())


def test_included_and_given(client: Client, registry: FakeRegistry, tmp_path: Path) -> None:
    service = b"services: {web: {image: nginx, env_file: web.env}}\n"
    digest = sent(client, registry, File("stack.yaml", service), OVER, ENV)
    address = f"oci://{registry.host}/team/stack"
    here = tmp_path / "here"
    here.mkdir()
    environment = {**client.environment, "STACKUP_ROOT": str(tmp_path / "root")}

    def loaded(text: str = "", *files: str) -> Any:
        (here / "compose.yaml").write_text(text)
        return load(LoadRequest(cwd=here, files=files, environment=environment)).stack

    web = loaded(f"include: ['{address}:1']\nservices: {{db: {{image: redis}}}}\n").services["web"]
    assert (web.image, web.environment) == ("nginx:2", {"A": "2"})
    assert set(loaded("", f"{address}@{digest}").services) == {"web"}
    with pytest.raises(StackFileError, match="switches files in registries off"):
        environment["COMPOSE_EXPERIMENTAL_OCI_REMOTE"] = "false"
        loaded(f"include: ['{address}:1']\n")
