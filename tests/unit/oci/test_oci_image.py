"""OCI image documents: what other tools write survives a round trip."""

from __future__ import annotations

import json

import pytest

from stackup.oci import image as oci
from stackup.oci import reference

CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2026-01-02T03:04:05Z",
    "config": {
        "User": "redis",
        "ExposedPorts": {"6379/tcp": {}},
        "Env": ["PATH=/bin", "A=b=c"],
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["redis-server"],
        "Volumes": {"/data": {}},
        "WorkingDir": "/data",
        "Labels": {"a": "b"},
        "StopSignal": "SIGINT",
        "Healthcheck": {"Test": ["CMD-SHELL", "redis-cli ping"], "Interval": 10**9, "Retries": 3},
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "a" * 64]},
    "history": [
        {"created_by": "COPY x", "created": "2026-01-02T03:04:05Z"},
        {"created_by": "CMD", "empty_layer": True},
    ],
}


def test_image_configuration_round_trip() -> None:
    parsed = oci.ConfigFile.from_json(CONFIG)
    assert parsed.config.environment == {"PATH": "/bin", "A": "b=c"}
    assert parsed.config.healthcheck and parsed.config.healthcheck.retries == 3
    assert parsed.history[1].empty_layer
    assert json.loads(oci.dumps(parsed.to_json())) == CONFIG


def test_absent_and_empty_commands_differ() -> None:
    assert oci.ImageConfig.from_json({"Cmd": None}).cmd is None
    assert oci.ImageConfig.from_json({"Cmd": []}).cmd == ()
    assert oci.ImageConfig(cmd=()).to_json() == {"Cmd": []}


def test_manifest_and_index_round_trip() -> None:
    layer = {"mediaType": oci.LAYER_GZIP, "digest": "sha256:" + "b" * 64, "size": 7}
    config = {"mediaType": oci.CONFIG, "digest": "sha256:" + "c" * 64, "size": 9}
    manifest = {"schemaVersion": 2, "mediaType": oci.MANIFEST, "config": config, "layers": [layer]}
    assert oci.Manifest.from_json(manifest).to_json() == manifest
    entry = {**config, "annotations": {oci.REF_NAME: "x"}, "platform": {"architecture": "arm64", "os": "linux"}}
    index = {"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": [entry]}
    assert oci.Index.from_json(index).to_json() == index


@pytest.mark.parametrize(
    "document",
    [{}, {"config": 1}, {"config": {"mediaType": "x", "digest": "d", "size": "1"}}, {"config": {}, "layers": 1}],
)
def test_what_is_no_manifest_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        oci.Manifest.from_json(document)


DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("redis", "docker.io/library/redis:latest", "redis:latest"),
        ("redis:7", "docker.io/library/redis:7", "redis:7"),
        ("bitnami/redis", "docker.io/bitnami/redis:latest", "bitnami/redis:latest"),
        ("docker.io/redis:7", "docker.io/library/redis:7", "redis:7"),
        ("index.docker.io/library/redis:7", "docker.io/library/redis:7", "redis:7"),
        ("ghcr.io/a/b/c:1.2-x", "ghcr.io/a/b/c:1.2-x", "ghcr.io/a/b/c:1.2-x"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("registry:5000/app:v1", "registry:5000/app:v1", "registry:5000/app:v1"),
        (f"redis@{DIGEST}", f"docker.io/library/redis@{DIGEST}", f"redis@{DIGEST}"),
        (f"redis:7@{DIGEST}", f"docker.io/library/redis:7@{DIGEST}", f"redis:7@{DIGEST}"),
        ("my_app__x-web", "docker.io/library/my_app__x-web:latest", "my_app__x-web:latest"),
    ],
)
def test_references(text: str, canonical: str, familiar: str) -> None:
    parsed = reference.parse(text)
    assert (str(parsed), parsed.familiar) == (canonical, familiar)
    assert reference.parse(str(parsed)) == parsed


@pytest.mark.parametrize("text", ["", "Redis", "a//b", "redis:", "redis:-x", "redis@sha256:12", "a b", "x/../y", "-x"])
def test_malformed_references(text: str) -> None:
    with pytest.raises(ValueError):
        reference.parse(text)
