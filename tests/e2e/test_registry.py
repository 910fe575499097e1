"""Pull and push against Debian's docker-registry, with skopeo at the other end; and what becomes of a pull that is
interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debianregistry import PASSWORD, USER, Server, debian_registry, skopeo
from tests.support.fakeregistry import FakeRegistry, Fault, some_layer
from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Server]:
    with debian_registry(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def box(busybox_images: Path) -> str:
    """The busybox image of the seeded store, for skopeo."""
    return f"oci:{busybox_images}/images:docker.io/library/busybox:latest"


def serve(scenario: Scenario, image: str, policy: str = "missing") -> None:
    scenario.compose(f"""
        services:
          web:
            image: {image}
            pull_policy: {policy}
            command: [sleep, "1000"]
            init: true
        """)


def test_up_pulls_what_is_missing(empty_scenario: Scenario, plain: Server, box: str, tmp_path: Path) -> None:
    """From plan to container; then pull_policy in its forms, and a registry that is gone."""
    scenario, stackup = empty_scenario, empty_scenario.stackup
    image = f"{plain.host}/team/app"
    skopeo("copy", "--dest-tls-verify=false", "--format", "v2s2", box, f"docker://{image}:1.27")
    serve(scenario, f"{image}:1.26")
    stackup("up", "-d").refused(rf"cannot pull {image}:1.26: there is no tag 1.26", "compose.yaml:3:12", "1.27", code=1)
    serve(scenario, f"{image}:1.27")
    assert f"pull    image {image}:1.27  not here yet" in stackup("plan").says_changes().out
    done = stackup("up", "-d").ok()
    assert f"image {image}:1.27: pulled" in done.err
    before = scenario.container_id("web")

    other = tmp_path / "other"
    skopeo("copy", box, f"oci:{other}:x")
    subprocess.run(["umoci", "config", "--image", f"{other}:x", "--config.env", "A=B"], check=True)
    skopeo("copy", "--dest-tls-verify=false", f"oci:{other}:x", f"docker://{image}:1.27")
    serve(scenario, f"{image}:1.27", "always")
    stackup("up", "-d").ok()
    assert scenario.container_id("web") != before
    assert scenario.run_in("web", "echo $A").strip() == "B"

    plain.stop()
    stackup("up", "-d").refused("cannot be reached")
    serve(scenario, f"{image}:1.27", "every_1s")
    eventually(lambda: told_of(stackup("up", "-d").ok().err), "the image is older than a second")


def told_of(text: str) -> bool:
    return "the one that is here is used" in text


def test_what_is_pushed_skopeo_reads(scenario: Scenario, plain: Server, tmp_path: Path) -> None:
    """The same configuration and the same content; and what was pulled goes back unchanged."""
    stackup = scenario.stackup
    image = f"{plain.host}/team/app:1"
    scenario.file("Dockerfile", "FROM busybox\nENV A=B\nRUN echo hello >/greeting\n")
    scenario.compose(f"services: {{app: {{image: '{image}', build: .}}, other: {{image: busybox}}}}")
    stackup("build").ok()
    digest = stackup("push").ok().out.split()[-1]
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{image}"))
    assert seen["Digest"] == digest
    assert "A=B" in seen["Env"]
    assert stackup("push", "-q", image).ok().out.split()[-1] == digest
    beside = f"{plain.host}/other/app:2"
    stackup("tag", image, beside).ok()
    assert "taken over from team/app" in stackup("push", beside).ok().err
    skopeo("copy", "--src-tls-verify=false", f"docker://{image}", f"oci:{tmp_path}/copy:x")
    subprocess.run(["umoci", "unpack", "--image", f"{tmp_path}/copy:x", tmp_path / "bundle"], check=True)
    assert (tmp_path / "bundle/rootfs/greeting").read_text() == "hello\n"
    assert (tmp_path / "bundle/rootfs/bin/busybox").is_file()

    fresh = Scenario(scenario.root.with_name(scenario.root.name + "2"), scenario.directory)
    pulled = fresh.stackup("pull", image).ok()
    assert f"image {image}: pulled" in pulled.err
    rows = {
        row["Repository"]: row["ID"] for row in json.loads(fresh.stackup("images", "-a", "--format", "json").ok().out)
    }
    mine = {row["Repository"]: row["ID"] for row in json.loads(stackup("images", "-a", "--format", "json").ok().out)}
    name = image.rpartition(":")[0]
    assert rows[name] == mine[name]
    assert fresh.stackup("push", "-q", image).ok().out.split()[-1] == digest


def test_users(scenario: Scenario, tmp_path: Path) -> None:
    with debian_registry(tmp_path, users=True) as server:
        stackup, image = scenario.stackup, f"{server.host}/team/app:1"
        scenario.compose(f"services: {{app: {{image: '{image}', build: .}}}}")
        scenario.file("Dockerfile", "FROM busybox\n")
        stackup("tag", "busybox", image).ok()
        stackup("push").refused("no credentials are known", f"stackup login {server.host}")
        login = ("login", server.host, "--username", USER, "--password-stdin")
        stackup(*login, stdin="wrong\n").refused("cannot log in to", "denies access")
        with stackup.start("login", server.host, terminal=True) as typing:
            typing.shows("User name for")
            typing.type(f"{USER}\n")
            typing.shows(f"Password of {USER}")
            typing.type(f"{PASSWORD}\n")
            assert typing.ends() == 0, typing.text
        assert PASSWORD not in typing.text
        stackup("push").ok()
        stackup("pull", image).ok()
        skopeo("inspect", "--tls-verify=false", "--creds", f"{USER}:{PASSWORD}", f"docker://{image}")
        stackup("logout", server.host).ok()
        stackup("pull", image).refused("no credentials are known")
        stackup("pull", "--ignore-pull-failures", image).ok()
        assert "it can be built" in stackup("pull").ok().err


def test_tls_with_an_authority_of_ones_own(scenario: Scenario, box: str, tmp_path: Path) -> None:
    with debian_registry(tmp_path, tls=True) as server:
        assert server.authority is not None
        stackup, image = scenario.stackup, f"{server.host}/team/app:1"
        skopeo("copy", "--dest-tls-verify=false", box, f"docker://{image}")
        stackup("pull", image).refused("certificate of .* is not trusted", f"/etc/docker/certs.d/{server.host}/ca.crt")
        trusted = Path(stackup.env()["HOME"], ".config/containers/certs.d", server.host)
        trusted.mkdir(parents=True)
        (trusted / "ca.crt").write_bytes(server.authority.read_bytes())
        stackup("pull", image).ok()
        (trusted / "ca.crt").unlink()
        conf = tmp_path / "registries.conf"
        conf.write_text(f'[[registry]]\nlocation = "{server.host}"\ninsecure = true\n')
        stackup("pull", image, env={"CONTAINERS_REGISTRIES_CONF": str(conf)}).ok()


def test_a_published_stack(scenario: Scenario, plain: Server, box: str, tmp_path: Path) -> None:
    """Its images, its extended and env files, and digests for its tags; another directory brings it up."""
    stackup, image = scenario.stackup, f"{plain.host}/team/app"
    skopeo("copy", "--dest-tls-verify=false", box, f"docker://{image}:1")
    scenario.compose(f"""
        services:
          web:
            extends: {{file: base.yaml, service: base}}
            image: {image}:1
            env_file: web.env
          own:
            image: {image}:own
            build: .
            command: [sleep, "1000"]
            init: true
        """)
    scenario.file("base.yaml", "services: {base: {command: [sleep, '1000'], init: true, image: x}}\n")
    scenario.file("web.env", "GREETING=hello\n")
    scenario.file("Dockerfile", "FROM busybox\n")
    target = f"{plain.host}/team/stack:1"
    stackup("publish", target).refused("the values in web.env would be open", r"--with-env", code=1)
    stackup("tag", "busybox", f"{image}:own").ok()
    done = stackup("publish", "--with-env", "--resolve-image-digests", target).ok()
    assert f"image {image}:own: pushed" in done.err
    digest = done.out.split()[-1]

    other = scenario.directory.with_name("other")
    other.mkdir()
    there = Scenario(scenario.root, other)
    there.compose(f"include: ['oci://{plain.host}/team/stack@{digest}']\n")
    there.stackup("up", "-d").ok()
    try:
        assert there.run_in("web", "echo $GREETING").strip() == "hello"
        assert "@sha256:" in there.stackup("config", "--images").ok().out
        assert there.stackup("-f", f"oci://{target}", "config", "--services").ok().out.split() == ["own", "web"]
    finally:
        there.take_down()


# Interrupted


@pytest.fixture
def slow() -> Iterator[FakeRegistry]:
    """Sends the first MiB of a layer of three, and then nothing."""
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [some_layer("usr", size=3 << 20)])
        registry.faults = [Fault(registry.layers_of("team/app", "1")[0], stall=1 << 20)]
        yield registry


def workers(scenario: Scenario) -> list[int]:
    return [item.pid for item in scenario.processes() if "stackup.images.worker" in item.command]


def half_there(scenario: Scenario) -> bool:
    parts = scenario.root / "lib/images/.parts"
    return any(path.stat().st_size >= 1 << 20 for path in parts.glob("*"))


def test_a_pull_that_was_killed_is_continued(empty_scenario: Scenario, slow: FakeRegistry) -> None:
    scenario, image = empty_scenario, f"{slow.host}/team/app:1"
    digest = slow.layers_of("team/app", "1")[0]
    serve(scenario, image)
    up = scenario.start("up", "-d")
    eventually(lambda: half_there(scenario), "a part of the layer has come")
    up.send(signal.SIGINT)
    assert up.ends() == 130
    eventually(lambda: not workers(scenario), "the worker has ended with its command")

    slow.faults = [Fault(digest, stall=1 << 20)]
    pull = scenario.start("pull", image)
    eventually(lambda: slow.count("GET", digest) == 2, "it goes on where it was")
    eventually(lambda: len(workers(scenario)) == 1, "there is a worker")
    for pid in workers(scenario):
        os.kill(pid, signal.SIGKILL)
    assert pull.ends() == 1
    assert "its worker process was killed (signal 9, SIGKILL)" in pull.text

    slow.faults = []
    scenario.stackup("pull", image).ok()
    ranges = [item.headers.get("Range") for item in slow.requests("GET", digest)]
    assert ranges[0] is None
    assert all(int(str(text).removeprefix("bytes=").rstrip("-")) >= 1 << 20 for text in ranges[1:])
    layout = scenario.root / "lib"
    assert [path.name for path in (layout / "images/.parts").iterdir() if path.suffix != ".lock"] == []
    left = [path.name for room in ("images/.ingest", "layers/.work") for path in (layout / room).iterdir()]
    assert set(left) <= {".gate"}
