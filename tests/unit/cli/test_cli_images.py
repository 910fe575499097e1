"""What the image verbs print, and how they end."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cli_support import out, session

from stackup.base.errors import ImageError, NotFound, PlanRefused, UsageError
from stackup.base.paths import Layout
from stackup.base.values import changed
from stackup.cli import clearing
from stackup.cli.globals import Globals
from stackup.cli.imagelists import name_and_tag
from stackup.cli.registry import load
from stackup.cli.verbs import images as images_verb
from stackup.engine.records import Definition, EndpointRecord, PortRecord, Records, State
from stackup.engine.supervision import HealthCheck, RestartPolicy, Supervision
from stackup.images.store import ImageStore, parse_reference
from stackup.oci.image import ImageConfig
from stackup.volumes.store import VolumeStore
from tests.support.archives import Archive

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="images belong to root")

MOUNTS = [{"type": "bind", "source": "/srv", "target": "/mnt", "read_only": True}]
ROOTFS = Archive().directory("etc").add("etc/os-release", b"ID=toy\n").data()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """toy:1 with a container of project shop, spare:2, and an image without a name."""
    layout = Layout.at(tmp_path / "root")
    store = ImageStore(layout)
    store.import_rootfs(io.BytesIO(Archive().add("old", b"").data()), "spare:2")
    store.import_rootfs(io.BytesIO(Archive().add("new", b"x" * 4000).data()), "spare:2")
    toy = store.import_rootfs(io.BytesIO(ROOTFS), "toy:1", ImageConfig(labels={"keep": "yes"}))
    records = Records(layout.project("shop").records)
    lowers = [str(layer.path) for layer in toy.layers]
    overlays = ({"target": "/", "lowers": lowers, "upper": str(tmp_path / "upper"), "work": str(tmp_path / "work")},)
    definition = Definition(
        id="c" * 64, name="shop-web-1", service="web", number=1, created_ns=1, config_hash="",
        config={"user": "app", "volumes": MOUNTS},
        image="toy:1", image_id=toy.id, overlays=overlays, command="run me",
        labels={"com.docker.compose.project": "shop"}, volumes={"/data": "shop_data"},
        ports=(PortRecord(80, "8080"),), endpoints=(EndpointRecord("default", "1234", "shop_default"),),
    )  # fmt: skip
    records.add_container(definition, State("exited"))
    records.close()
    (tmp_path / "upper").mkdir()
    (tmp_path / "upper/made").write_text("by the container")
    return layout


def run(layout: Layout, verb: str, *, code: int = 0, **given: object) -> str:
    loaded, used = load(verb), session(layout)
    used.cwd = str(layout.state.parent.parent)
    assert loaded.run(used, loaded.request(**given)) == code
    return out(used)


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_lists(layout: Layout) -> None:
    assert [line.split()[:2] for line in run(layout, "image ls").splitlines()] == [
        ["REPOSITORY", "TAG"], ["toy", "1"], ["spare", "2"], ["<none>", "<none>"],
    ]  # fmt: skip
    assert run(layout, "images", all=True) == run(layout, "image ls")
    assert len(run(layout, "image ls", quiet=True).split()) == 3
    assert all(len(item) == 71 for item in run(layout, "image ls", quiet=True, no_trunc=True).split())
    assert "DIGEST" in run(layout, "image ls", digests=True).splitlines()[0]
    assert run(layout, "image ls", name="toy").splitlines()[1].startswith("toy ")
    assert [item["Repository"] for item in lines(run(layout, "image ls", format="json"))] == ["toy", "spare", "<none>"]
    stored = json.loads(run(layout, "images", all=True, format="json"))
    assert [(item["Tag"], item["Used"], item["SharedSize"]) for item in stored] == [
        ("1", True, 0), ("2", False, 0), ("<none>", False, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("dangling=true",), ["<none>"]),
        (("until=2020-01-01",), []),
        (("dangling=false",), ["toy", "spare"]),
        (("reference=s*",), ["spare"]),
        (("reference=s*", "reference=toy:1"), ["toy", "spare"]),
        (("label=keep",), ["toy"]),
        (("label=keep=no",), []),
        (("before=toy:1",), ["spare", "<none>"]),
        (("since=spare:2",), ["toy"]),
    ],
)
def test_filters(layout: Layout, filters: tuple[str, ...], found: list[str]) -> None:
    listed = lines(run(layout, "image ls", filter=filters, format="json"))
    assert [item["Repository"] for item in listed] == found


@pytest.mark.parametrize("text", ["dangling=perhaps", "nosuch=1", "dangling", "before=nosuch"])
def test_filters_that_are_none(layout: Layout, text: str) -> None:
    with pytest.raises(UsageError, match="cannot filter by"):
        run(layout, "image ls", filter=(text,))


def test_pins_have_no_tag_that_could_be_used(layout: Layout) -> None:
    store = ImageStore(layout)
    image = store.resolve("toy:1")
    assert image is not None
    for name in ("toy", "toy:1", "localhost:5000/toy:2"):
        store.index.set(f"{parse_reference(name)}@{image.digest}", store.index.read().manifests[-1])
    store.index.unset("docker.io/library/toy:1")
    rows = [line.split()[:2] for line in run(layout, "image ls").splitlines()[1:]]
    assert sorted(row for row in rows if "toy" in row[0]) == [["localhost:5000/toy", "<none>"], ["toy", "<none>"]]
    pinned = f"docker.io/library/toy:1@{image.digest}"  # as a stack file with locked digests has it
    assert name_and_tag(images_verb._familiar(pinned)) == ("toy", "<none>")
    assert name_and_tag(images_verb._familiar("localhost:5000/toy")) == ("localhost:5000/toy", "latest")


def test_formats(layout: Layout) -> None:
    """Of every verb that has one."""
    assert run(layout, "image ls", name="toy", format="{{.Repository}}:{{.Tag}} {{len .ID}}") == "toy:1 12\n"
    header, *rows = run(layout, "images", all=True, format="table {{.Repository}}\\t{{.ID}}").splitlines()
    assert header.split() == ["REPOSITORY", "IMAGE", "ID"] and len(rows) == 3
    assert run(layout, "inspect", names=("toy:1",), format="{{json .RepoTags}}") == '["toy:1"]\n'
    assert run(layout, "image inspect", images=("toy:1", "spare:2"), format="{{.Os}}") == "linux\nlinux\n"
    assert run(layout, "image history", image="toy:1", no_trunc=True, format="{{.ID}}").startswith("sha256:")
    assert run(layout, "system df", format="{{.Type}}").splitlines()[0] == "Images"


def test_images_of_a_name_where_there_is_no_project(layout: Layout) -> None:
    def images(**given: Any) -> str:
        verb, used = load("images"), session(layout)
        used.options, used.cwd = Globals(), str(layout.state.parent.parent)
        assert verb.run(used, verb.request(**given)) == 0
        return out(used)

    assert images(services=("toy",), format="{{.Tag}}") == "1\n"
    assert images(services=("nosuch",), quiet=True) == ""
    with pytest.raises(NotFound, match="cannot list the images of service toy: it has no containers"):
        run(layout, "images", services=("toy",))


def test_an_import_without_a_name(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(ROOTFS)
    image = run(layout, "import", source=str(tmp_path / "root.tar"), message="from afar").strip()
    assert run(layout, "inspect", names=(image[7:17],), format="{{.RepoTags}} {{.Comment}}") == "[] from afar\n"
    assert "from afar" in run(layout, "history", image=image)


def test_tag_and_remove(layout: Layout) -> None:
    run(layout, "tag", source="spare:2", target="team/spare")
    assert run(layout, "rmi", images=("spare:2",)) == "Untagged: spare:2\n"
    gone = run(layout, "rmi", images=("team/spare",)).splitlines()
    assert gone[0] == "Untagged: team/spare:latest" and gone[1].startswith("Deleted: sha256:")
    with pytest.raises(ImageError, match="container cccccccccccc was made from it"):
        run(layout, "rmi", images=("toy:1",))
    with pytest.raises(ImageError, match="cannot remove 'a': no such image") as caught:
        run(layout, "image rm", images=("a", "b"))
    assert len(caught.value.details) == 1
    run(layout, "rmi", images=("a", "b"), force=True)


def test_prune(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(PlanRefused, match="nobody is there to confirm"):
        run(layout, "image prune")
    assert run(layout, "image prune", force=True, filter=("until=1h",)) == "Total reclaimed space: 0B\n"
    found = run(layout, "image prune", force=True)
    assert found.startswith("Deleted Images:\ndeleted: sha256:") and "untagged" not in found
    assert "untagged: spare:2" in run(layout, "image prune", force=True, all=True)
    assert [item["Repository"] for item in lines(run(layout, "image ls", format="json"))] == ["toy"]
    with pytest.raises(UsageError, match="until"):
        run(layout, "image prune", force=True, filter=("until=soon",))


def test_inspect_prints_what_it_found_before_it_fails(layout: Layout) -> None:
    (found,) = json.loads(run(layout, "inspect", names=("toy:1",)))
    assert found["RepoTags"] == ["toy:1"] and found["Config"]["Labels"] == {"keep": "yes"}
    with pytest.raises(ImageError, match="cannot inspect 'nosuch'"):
        run(layout, "image inspect", images=("toy:1", "nosuch"))


def test_templates_may_ask_for_what_an_image_leaves_out(layout: Layout) -> None:
    template = "<{{.Variant}}|{{.Config.User}}|{{.Config.Entrypoint}}|{{json .Config}}>"
    config = '{"Labels":{"keep":"yes"}}'
    assert run(layout, "inspect", names=("toy:1",), format=template) == f"<||[]|{config}>\n"
    with pytest.raises(UsageError, match="there is no field 'Nonsense'"):
        run(layout, "inspect", names=("toy:1",), format="{{.Nonsense}}")


def test_inspect_finds_every_kind(layout: Layout) -> None:
    VolumeStore(layout).create("data")
    assert run(layout, "inspect", names=("toy:1", "data"), format="{{or .RepoTags .Name}}") == ("[toy:1]\ndata\n")
    for kind in ("container", "volume", "network"):
        with pytest.raises(NotFound, match="toy:1"):
            run(layout, "inspect", names=("toy:1",), type=kind)
    with pytest.raises(ImageError, match="cannot inspect 'toy:2': no such image"):
        run(layout, "inspect", names=("toy:2",))


def test_inspect_of_a_container(layout: Layout) -> None:
    (found,) = json.loads(run(layout, "inspect", names=("shop-web-1",)))
    assert found["NetworkSettings"]["Ports"] == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}
    network = found["NetworkSettings"]["Networks"]["shop_default"]
    assert (network["NetworkID"], network["IPAddress"]) == ("1234", "")  # it does not run
    assert found["Mounts"] == [
        {"Type": "volume", "Name": "shop_data", "Source": "", "Destination": "/data", "RW": True},
        {"Type": "bind", "Source": "/srv", "Destination": "/mnt", "RW": False},
    ]


def test_inspect_shows_how_a_container_was_made(layout: Layout) -> None:
    config = {
        "image": "toy:1", "user": "app", "volumes": [*MOUNTS, {"type": "volume", "source": "data", "target": "/data"}],
        "environment": {"A": "1", "PATH": None}, "working_dir": "/srv", "entrypoint": [], "privileged": True,
        "cap_add": ["NET_ADMIN"], "logging": {"driver": "local", "options": {"max-size": "10m"}}, "mem_limit": 67108864,
        "deploy": {"resources": {"limits": {"cpus": 0.5}}}, "ulimits": {"nofile": {"soft": 10, "hard": 20}},
        "tmpfs": ["/run:size=2m"], "expose": ["99"], "command": ["sleep", "9"],
    }  # fmt: skip
    policy = Supervision(RestartPolicy("on-failure", 3), HealthCheck(("true",), interval=5.0))
    (found,) = Records(layout.project("shop").records, readonly=True).containers()
    definition = changed(found.definition, id="d" * 64, name="shop-db-1", service="db", config=config, hostname="h",
                         supervision=policy, anonymous_volumes=())  # fmt: skip
    old = changed(definition, id="e" * 64, name="shop-old-1", service="old", config={"nobody": "knows"}, image_id="")
    records = Records(layout.project("shop").records)
    for item in (definition, old):
        records.add_container(item, State("exited"))
    records.close()
    (found,) = json.loads(run(layout, "inspect", names=("shop-db-1",)))
    here, host = found["Config"], found["HostConfig"]
    assert here["Env"] == ["A=1"] and (found["Path"], found["Args"], here["Cmd"]) == ("sleep", ["9"], ["sleep", "9"])
    assert (here["User"], here["WorkingDir"], here["Hostname"], here["Image"]) == ("app", "/srv", "h", "toy:1")
    assert (here["Entrypoint"], list(here["ExposedPorts"])) == ([], ["80/tcp", "99/tcp"])
    assert here["Healthcheck"]["Interval"] == 5_000_000_000
    assert host["Binds"] == ["/srv:/mnt:ro", "shop_data:/data:rw"]
    assert host["LogConfig"] == {"Type": "local", "Config": {"max-size": "10m"}}
    assert (host["Memory"], host["NanoCpus"], host["CpuQuota"]) == (64 << 20, 500_000_000, 0)
    assert (host["Privileged"], host["CapAdd"], host["CapDrop"]) == (True, ["NET_ADMIN"], None)
    assert (host["NetworkMode"], host["Tmpfs"]) == ("shop_default", {"/run": "size=2m"})
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    assert host["Ulimits"] == [{"Name": "nofile", "Hard": 20, "Soft": 10}]
    template = "{{.HostConfig.RestartPolicy.Name}}{{range .Config.Env}} {{.}}{{end}}"
    assert run(layout, "inspect", names=("shop-db-1",), format=template) == "on-failure A=1\n"
    template = "{{.Path}} {{.HostConfig.Privileged}}"
    assert run(layout, "inspect", names=("shop-old-1",), format=template) == "run false\n"  # image and record are lost


def test_history(layout: Layout) -> None:
    header, row = run(layout, "image history", image="toy:1").splitlines()
    assert header.split()[:2] == ["IMAGE", "CREATED"] and "stackup import the archive" in row
    (step,) = lines(run(layout, "image history", image="toy:1", format="json", no_trunc=True))
    assert step["ID"].startswith("sha256:") and step["CreatedBy"] == "stackup import the archive"
    assert len(run(layout, "image history", image="toy:1", quiet=True).strip()) == 12


def test_base_and_diff(layout: Layout) -> None:
    with pytest.raises(ImageError, match="cannot tell the base of 'toy:1'"):
        run(layout, "image base", image="toy:1")
    assert run(layout, "image base", image="toy:1", format="json", code=1) == "[]\n"
    run(layout, "commit", container="shop-web-1", reference="made:1")
    assert run(layout, "image base", image="made:1").splitlines()[1].split("   ")[0] == "toy:1"
    assert run(layout, "image diff", before="toy:1", after="made:1") == "A /made  (16B)\n"
    (found,) = json.loads(run(layout, "image diff", before="made:1", after="toy:1", format="json"))
    assert found == {"Kind": "D", "Path": "/made", "Before": 16, "After": None, "Changed": ""}


def test_what_images_say_of_themselves_does_not_reach_the_terminal_raw(layout: Layout) -> None:
    nasty = "\x1b]0;owned\x07x\nA faked"
    store = ImageStore(layout)
    labels = {"org.opencontainers.image.base.name": nasty}
    archive = Archive().add(nasty, b"x").add("etc/os-release", b"ID=toy\n").data()
    store.import_rootfs(io.BytesIO(archive), "odd:1", ImageConfig(labels=labels), message=nasty)
    shown = [
        run(layout, "image diff", before="toy:1", after="odd:1"),
        run(layout, "image base", image="odd:1"),
        run(layout, "image history", image="odd:1"),
    ]
    for text in shown:
        assert r"\x1b]0;owned\x07x\nA faked" in text
        assert text.replace("\n", "").isprintable()


def test_commit(layout: Layout) -> None:
    made = run(layout, "commit", container="c" * 12, reference="made:1", author="me", message="note",
               change=("ENV A=1", "CMD [\"x\"]")).strip()  # fmt: skip
    (found,) = json.loads(run(layout, "inspect", names=(made,)))
    assert (found["Author"], found["Comment"], found["Config"]["User"]) == ("me", "note", "app")
    assert (found["Config"]["Cmd"], found["Config"]["Labels"]) == (["x"], {"keep": "yes"})
    assert "A=1" in found["Config"]["Env"]
    assert lines(run(layout, "image history", image=made, format="json"))[0]["CreatedBy"] == "run me"
    unnamed = run(layout, "commit", container="shop-web-1").strip()
    assert unnamed != made
    with pytest.raises(NotFound, match="there is no such service or container") as caught:
        run(layout, "commit", container="nosuch")
    assert caught.value.hint == "containers: shop-web-1"
    ImageStore(layout).remove("toy:1", force=True)
    with pytest.raises(ImageError, match="toy:1 is not here any more"):
        run(layout, "commit", container="shop-web-1")


def test_save_load_and_export_through_files(layout: Layout, tmp_path: Path) -> None:
    run(layout, "save", images=("toy:1", "spare:2"), output="both.tar")
    run(layout, "save", images=("toy:1",), output="dir", format="oci-dir")
    run(layout, "export", container="shop-web-1", output="root.tar")
    other = Layout.at(tmp_path / "other")
    assert run(other, "load", input=str(tmp_path / "both.tar"), quiet=True) == (
        "Loaded image: toy:1\nLoaded image: spare:2\n"
    )
    assert run(other, "load", input=str(tmp_path / "dir"), quiet=True) == "Loaded image: toy:1\n"
    run(other, "import", source=str(tmp_path / "root.tar"), reference="flat", quiet=True)
    assert run(other, "image diff", before="toy:1", after="flat") == "A /made  (16B)\n"
    with pytest.raises(UsageError, match="oci-dir to standard output"):
        run(layout, "save", images=("toy:1",), format="oci-dir")
    with pytest.raises(ImageError, match="cannot load nosuch: there is no such file"):
        run(other, "load", input="nosuch")


class Archives(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path != "/none" else 404)
        self.send_header("Content-Length", str(len(ROOTFS) + (9 if self.path == "/short" else 0)))
        self.end_headers()
        self.wfile.write(ROOTFS)

    def log_message(self, *_given: object) -> None:
        pass


@pytest.fixture
def archives(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Archives) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_import_of_a_url(layout: Layout, archives: str) -> None:
    run(layout, "import", source=f"{archives}/root.tar", reference="far:1", quiet=True)
    assert run(layout, "image diff", before="toy:1", after="far:1") == ""
    (step,) = lines(run(layout, "image history", image="far:1", format="json", no_trunc=True))
    assert step["CreatedBy"] == f"stackup import {archives}/root.tar"
    for path, reason in (("none", "the server answers 404"), ("short", "the connection broke after")):
        with pytest.raises(ImageError, match=f"cannot fetch {archives}/{path}: {reason}"):
            run(layout, "import", source=f"{archives}/{path}", reference="bad:1", quiet=True)
    assert ImageStore(layout).find("bad:1") is None


def test_verify(layout: Layout) -> None:
    assert run(layout, "image verify") == "12 blobs and layers are what their digests say\n"
    assert run(layout, "image verify", format="json") == "[]\n"
    store = ImageStore(layout)
    image = store.resolve("spare:2")
    assert image is not None
    blob = store.blobs.path(image.layers[0].digest)
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    first, path, repair = run(layout, "images", verify=True, code=1).splitlines()
    assert first.startswith(f"blob {image.layers[0].digest[7:19]} of spare:2: its content is sha256:")
    assert path.strip() == str(blob)
    assert repair.strip() == "repair: stackup pull spare:2; or build, load or import again what came that way"
    (found,) = json.loads(run(layout, "images", verify=True, format="json", code=1))
    assert (found["What"], found["Images"]) == ("blob", ["spare:2"])
    run(layout, "rmi", images=("spare:2",), force=True)
    assert not blob.exists()


def test_a_damaged_image_keeps_nobody_from_purging(layout: Layout) -> None:
    store = ImageStore(layout)
    image = store.resolve("spare:2")
    assert image is not None
    store.blobs.path(image.digest).unlink()
    assert "spare:2" in clearing._told(session(layout), [])


def test_verify_and_what_contradicts_it(layout: Layout) -> None:
    with pytest.raises(UsageError, match="together with services"):
        run(layout, "images", verify=True, services=("web",))


def test_system_df_and_prune(layout: Layout) -> None:
    use = {item["Type"]: item for item in lines(run(layout, "system df", format="json"))}
    assert (use["Images"]["TotalCount"], use["Images"]["Active"]) == ("3", "1")
    assert (use["Containers"]["TotalCount"], use["Containers"]["Active"]) == ("1", "0")
    assert "shop-web-1" in run(layout, "system df", verbose=True)
    mount = layout.build_cache / "mounts" / "pip"
    mount.mkdir(parents=True)
    (mount / "wheel").write_bytes(b"x" * 2_000_000)
    cache = {item["Type"]: item for item in lines(run(layout, "system df", format="json"))}["Build Cache"]
    assert cache["TotalCount"] == "1" and cache["Size"].startswith("2") and cache["Size"].endswith("MB")
    assert "1 cache mounts" in run(layout, "system df", verbose=True)
    found = run(layout, "system prune", force=True, volumes=True)
    assert float(found.splitlines()[-1].split()[-1].removesuffix("MB")) > 2
    assert "Deleted Images:" in found and found.splitlines()[-1].startswith("Total reclaimed space: ")
    assert {item["Repository"] for item in lines(run(layout, "image ls", format="json"))} == {"toy", "spare"}
    run(layout, "system prune", force=True, all=True)
    assert {item["Repository"] for item in lines(run(layout, "image ls", format="json"))} == {"toy"}


def test_system_prune_asks(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(PlanRefused, match="cannot prune"):
        run(layout, "system prune")
