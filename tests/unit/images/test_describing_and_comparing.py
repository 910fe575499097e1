"""inspect, history, base and diff: what is said of an image, and of two."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from image_support import CREATED, make_image, new_store, rootfs

from stackup.base.errors import ImageError
from stackup.base.workroom import delete
from stackup.images import describing
from stackup.images.comparing import BASE_DIGEST, BASE_NAME, bases, compare
from stackup.images.store import ImageStore, host_platform
from stackup.oci import image as oci
from tests.support.archives import Archive

LATER = CREATED.replace("2026", "2027")


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return new_store(tmp_path / "root")


def test_inspect_has_dockers_keys(store: ImageStore) -> None:
    config = oci.ImageConfig(user="app", env=("A=1",), cmd=("run",), labels={"x": "y"}, exposed_ports=("80/tcp",))
    image = make_image(store, "toy:1", [rootfs()], config=config)
    store.tag("toy:1", "team/toy:2")
    found = describing.inspect(store, image.id[:20])
    assert found["Id"] == image.id
    assert found["RepoTags"] == ["toy:1", "team/toy:2"]
    assert found["RepoDigests"] == [f"toy@{image.digest}", f"team/toy@{image.digest}"]
    assert found["Config"] == {
        "User": "app", "Env": ["A=1"], "Cmd": ["run"], "Labels": {"x": "y"}, "ExposedPorts": {"80/tcp": {}},
    }  # fmt: skip
    assert (found["Os"], found["Architecture"]) == ("linux", host_platform().architecture)
    assert found["RootFS"] == {"Type": "layers", "Layers": [image.layers[0].diff_id]}
    assert found["Created"] == CREATED and found["Size"] == image.layers[0].size
    with pytest.raises(ImageError, match="cannot inspect 'nosuch': no such image"):
        describing.inspect(store, "nosuch")
    with pytest.raises(ImageError, match="cannot inspect 'host': it is this machine"):
        describing.inspect(store, "host")


def test_inspect_keeps_what_it_does_not_know(store: ImageStore) -> None:
    image = make_image(store, "toy:1", [rootfs()])
    document = store.blobs.read_json(image.id)
    document["config"]["ArgsEscaped"] = True
    document |= {"author": "me", "docker_version": "1.2", "variant": "v9"}
    config = store.blobs.put_json(document, oci.CONFIG)
    manifest = oci.Manifest(config, store.manifest(store.index.read().manifests[0]).layers)
    store.index.set("docker.io/library/odd:1", store.blobs.put_json(manifest.to_json(), oci.MANIFEST))
    found = describing.inspect(store, "odd:1")
    assert found["Config"]["ArgsEscaped"] is True
    assert (found["Author"], found["DockerVersion"], found["Variant"]) == ("me", "1.2", "v9")


def test_history_pairs_steps_with_layers(store: ImageStore) -> None:
    image = make_image(store, "toy:1", [rootfs(), Archive().add("a", b"a").data()])
    document = store.blobs.read_json(image.id)
    document["history"].insert(1, {"created": CREATED, "created_by": "ENV A=1", "empty_layer": True})
    config = store.blobs.put_json(document, oci.CONFIG)
    manifest = oci.Manifest(config, store.manifest(store.index.read().manifests[0]).layers)
    store.index.set("docker.io/library/steps:1", store.blobs.put_json(manifest.to_json(), oci.MANIFEST))
    steps = describing.history(store, "steps:1")
    assert [(step.created_by, step.size) for step in steps] == [
        ("step 2", image.layers[1].size), ("ENV A=1", 0), ("step 1", image.layers[0].size),
    ]  # fmt: skip
    assert [step.id for step in steps] == [config.digest, "", ""]


def test_layers_without_a_history(store: ImageStore) -> None:
    image = make_image(store, "toy:1", [rootfs()])
    document = {**store.blobs.read_json(image.id), "history": []}
    manifest = oci.Manifest(store.blobs.put_json(document, oci.CONFIG), store.manifest(
        store.index.read().manifests[0]).layers)  # fmt: skip
    store.index.set("docker.io/library/bare:1", store.blobs.put_json(manifest.to_json(), oci.MANIFEST))
    (step,) = describing.history(store, "bare:1")
    assert step.size == image.layers[0].size


# The base


def known(store: ImageStore, name: str) -> list[tuple[str, str, int]]:
    image = store.resolve(name)
    entry = store.find(name)
    assert image is not None and entry is not None
    return [(item.name, item.how, item.layers) for item in bases(store, image, dict(store.manifest(entry).annotations))]


def test_the_base_is_the_longest_run_of_lowest_layers(store: ImageStore) -> None:
    one, two, three = (Archive().add(name, name.encode()).data() for name in "123")
    make_image(store, "debian", [one])
    make_image(store, "python", [one, two])
    make_image(store, "other", [two, one])
    make_image(store, "app", [one, two, three])
    damaged = store.blobs.path(make_image(store, "damaged", [three, one]).id)
    damaged.chmod(0o644)
    damaged.write_bytes(b"{}")
    assert known(store, "app") == [("python:latest", "layers", 2), ("debian:latest", "layers", 1)]
    assert known(store, "python") == [("debian:latest", "layers", 1)]
    assert known(store, "debian") == known(store, "other") == []


def test_of_equal_layers_the_older_image_is_the_base(store: ImageStore) -> None:
    make_image(store, "base", [rootfs()])
    make_image(store, "env", [rootfs()], created=LATER, config=oci.ImageConfig(env=("A=1",)))
    assert known(store, "env") == [("base:latest", "layers", 1)]
    assert known(store, "base") == []


def test_a_base_is_told_once(store: ImageStore) -> None:
    """With a tag, a pin, and its maker's note of the same."""
    base = make_image(store, "debian:13", [rootfs()])
    (entry,) = store.index.read().manifests
    store.index.set(f"docker.io/library/debian:13@{base.digest}", entry)
    for name, notes in (
        ("both", {BASE_NAME: "docker.io/library/debian:13", BASE_DIGEST: base.digest}),
        ("named", {BASE_NAME: "docker.io/library/debian:13"}),
    ):
        make_image(store, name, [rootfs(), Archive().add(name, b"").data()], annotations=notes)
        assert known(store, name) == [("debian:13", "layers", 1)]


@pytest.mark.parametrize("place", ["annotation", "label"])
def test_what_the_maker_says_of_the_base(store: ImageStore, place: str) -> None:
    notes = {BASE_NAME: "docker.io/library/debian:13", BASE_DIGEST: f"sha256:{'1' * 64}"}
    where = {"annotations": notes} if place == "annotation" else {"config": oci.ImageConfig(labels=notes)}
    make_image(store, "app", [rootfs()], **where)  # type: ignore[arg-type]
    assert known(store, "app") == [("docker.io/library/debian:13", "annotation", 0)]


# Two images


def differences(store: ImageStore, before: str, after: str) -> list[tuple[str, str, int | None, int | None, str]]:
    one, other = store.resolve(before), store.resolve(after)
    assert one is not None and other is not None
    return [(item.kind, item.path, item.before, item.after, item.why) for item in compare(one, other)]


def test_files_that_differ(store: ImageStore) -> None:
    base = Archive().directory("etc").add("etc/a", b"1").add("etc/b", b"22").add("etc/c", b"3").symlink("l", "a")
    base.directory("old").add("old/x", b"xx").add("mode", b"m").add("same", b"s").add("kind", b"k").directory(
        "dir"
    ).add("dir/in", b"i")
    top = (
        Archive().add("etc/b", b"22!").add("etc/.wh.c", b"").add("new/y", b"yyy").add(".wh.old", b"").symlink("l", "b")
    )
    top.add("mode", b"m", mode=0o755).add("same", b"s", mtime=5).add("kind", kind=tarfile.FIFOTYPE).add("dir", b"file")
    layers = [base.data(), top.data()]
    make_image(store, "before", layers[:1])
    make_image(store, "after", layers)
    found = differences(store, "before", "after")
    assert found == [
        ("C", "/dir", 0, 4, "kind"),
        ("D", "/dir/in", 1, None, ""),
        ("C", "/etc/b", 2, 3, "content"),
        ("D", "/etc/c", 1, None, ""),
        ("C", "/kind", 1, 0, "kind"),
        ("C", "/l", 1, 1, "link"),
        ("C", "/mode", 1, 1, "mode"),
        ("A", "/new", None, 0, ""),
        ("A", "/new/y", None, 3, ""),
        ("D", "/old", 0, None, ""),
        ("D", "/old/x", 2, None, ""),
    ]
    back = differences(store, "after", "before")
    assert {(kind, path) for kind, path, *_ in back if kind != "C"} == {
        ({"A": "D", "D": "A"}[kind], path) for kind, path, *_ in found if kind != "C"
    }
    assert differences(store, "after", "after") == []


def test_the_same_files_in_other_layers_are_no_difference(store: ImageStore) -> None:
    make_image(store, "two", [Archive().add("a", b"a").data(), Archive().add("b", b"b").data()])
    make_image(store, "one", [Archive().add("a", b"a", mtime=7).add("b", b"b").data()])
    assert differences(store, "two", "one") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="capabilities and devices are root's")
def test_what_only_ls_and_getcap_show(store: ImageStore) -> None:
    def image(name: str, capability: bytes, minor: int, attribute: str, uid: int) -> None:
        pax = {"SCHILY.xattr.security.capability": capability.decode("latin-1"), "SCHILY.xattr.user.note": attribute}
        archive = Archive().add("ping", b"x", pax=pax, owner=(uid, 0))
        make_image(store, name, [archive.add("null", kind=tarfile.CHRTYPE, device=(1, minor)).data()])

    bits = b"\x01\0\0\x02\0\x20\0\0" + bytes(12)
    image("one", bits, 3, "a", 0)
    image("other", bits.replace(b"\x20", b"\x04"), 5, "b", 1)
    image("again", bits, 3, "a", 0)
    assert differences(store, "one", "other") == [
        ("C", "/null", 0, 0, "device"),
        ("C", "/ping", 1, 1, "owner, capabilities, attributes"),
    ]
    assert differences(store, "one", "again") == []


def test_directories_deeper_than_the_kernel_follows(store: ImageStore) -> None:
    """A hostile one may be: an error is what it is, and no crash."""
    shallow = "/".join(["d"] * 500)
    make_image(store, "empty", [Archive().add("x", b"").data()])
    make_image(store, "shallow", [Archive().add(f"{shallow}/f", b"").data()])
    make_image(store, "shallow2", [Archive().add(f"{shallow}/f", b"2").data()])
    make_image(store, "deep", [Archive().add("/".join(["d" * 200] * 30) + "/f", b"").data()])
    assert len(differences(store, "empty", "shallow")) == 502
    assert differences(store, "shallow", "shallow2") == [("C", f"/{shallow}/f", 0, 1, "content")]
    with pytest.raises(ImageError, match="cannot compare the images: File name too long") as caught:
        differences(store, "empty", "deep")
    assert len(caught.value.message) < 400
    for layer in store.layers.diff_ids():  # pytest's own way does not reach so deep
        delete(store.layers.path(layer))


def test_opaque_directories(store: ImageStore) -> None:
    lower = Archive().directory("d").add("d/gone", b"x").add("d/kept", b"k").data()
    upper = Archive().directory("d").add("d/.wh..wh..opq", b"").add("d/kept", b"k").data()
    make_image(store, "lower", [lower])
    make_image(store, "upper", [lower, upper])
    assert differences(store, "lower", "upper") == [("D", "/d/gone", 1, None, "")]
    assert json.dumps(describing.inspect(store, "upper"))
