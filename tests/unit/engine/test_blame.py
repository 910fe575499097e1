"""An error of a failed action points at the line of the value that is at fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackup.base.errors import ContainerFault, Position, StackFileError, StackupError
from stackup.engine.blame import culprits, killed_by_limit
from stackup.engine.images_desk import build_warning
from stackup.engine.loading import INLINE, LoadedStack
from stackup.model.plan import Action, BuildImage, CreateNetwork, StartContainer
from stackup.oci.image import ImageConfig
from stackup.stackfile import LoadRequest, load

FILE = """\
services:
  web:
    image: busybox
    command: [serve, -x]
    working_dir: /srv
    user: bob
    group_add: [a, b]
    devices: [/dev/null, /dev/nope]
    sysctls:
      net.core.somaxconn: 10
    ulimits:
      nofile: 9999999
    tmpfs: ["/t:size=x"]
    volumes:
      - ./here:/there
      - {type: bind, source: /nowhere, target: /x}
    security_opt: [no-new-privileges, apparmor=none]
    mem_limit: 1m
    cpuset: "77"
    networks: {n: {ipv4_address: 10.0.0.9}}
  plain:
    image: busybox
  entry:
    image: busybox
    entrypoint: run
    command: x
  built:
    build:
      context: .
      dockerfile_inline: |
        FROM host

        RUNN x
networks:
  n:
    driver: bridge
"""


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedStack:
    (tmp_path / "compose.yaml").write_text(FILE)
    found = load(LoadRequest(cwd=tmp_path, run=False))
    return LoadedStack(found.stack, (), {}, found)


def starting(service: str) -> Action:
    return StartContainer(id="a", reason="", number=1, name=f"p-{service}-1", service=service)


def line_of(loaded: LoadedStack, error: StackupError, action: Action, image: ImageConfig | None = None) -> str:
    """What is underlined."""
    paths = culprits(error, action, loaded.stack, image)
    if not paths:
        return ""
    loaded.point(error, *paths)
    text, _, caret = error.snippet.partition("\n")
    return "".join(char for char, mark in zip(text, caret.ljust(len(text)), strict=False) if mark == "^")


@pytest.mark.parametrize(
    ("step", "path", "underlined"),
    [
        ("command", "serve", "command"), ("exec", "/bin/serve", "command"), ("cwd", "/srv", "/srv"),
        ("user", "", "bob"), ("sysctl", "net.core.somaxconn", "10"), ("rlimits", "nofile=9999999:9999999", "nofile"),
        ("mount", "/t", '"/t:size=x"'), ("mount", "/there", "./here:/there"),
        ("source", "/nowhere", "{type: bind, source: /nowhere, target: /x}"),
        ("apparmor", "none", "apparmor=none"), ("cgroup", "cpuset.cpus=77", '"77"'), ("cgroup", "x/memory.max=1", "1m"),
        ("device", "/dev/nope", "/dev/nope"), ("clone", "", ""), ("veth", "skb1", ""),
    ],
)  # fmt: skip
def test_what_the_launcher_reports(loaded: LoadedStack, step: str, path: str, underlined: str) -> None:
    assert line_of(loaded, ContainerFault("no", step=step, path=path), starting("web")) == underlined


def test_the_first_word_of_the_command_line_is_the_entrypoints(loaded: LoadedStack) -> None:
    fault = ContainerFault("no", step="command", path="run")
    assert line_of(loaded, fault, starting("entry")) == "entrypoint"
    assert fault.where and fault.where.line == 25


@pytest.mark.parametrize("image", [None, ImageConfig(entrypoint=("/start",)), ImageConfig(cmd=("x",))])
def test_a_command_of_the_image(loaded: LoadedStack, image: ImageConfig | None) -> None:
    fault = ContainerFault("no", step="command", path="/start")
    assert line_of(loaded, fault, starting("plain"), image) == "busybox"


def test_an_entrypoint_of_the_image_before_the_files_command(loaded: LoadedStack) -> None:
    fault = ContainerFault("no", step="command", path="/start")
    assert line_of(loaded, fault, starting("web"), ImageConfig(entrypoint=("/start",))) == "busybox"


def test_what_the_raiser_knows(loaded: LoadedStack) -> None:
    assert line_of(loaded, ContainerFault("no", about=".group_add.1"), starting("web")) == "b"
    assert line_of(loaded, StackFileError("no", about="networks.n.driver"), starting("web")) == "bridge"


def test_a_user_of_the_image(loaded: LoadedStack) -> None:
    assert line_of(loaded, ContainerFault("no", step="user", about=".user"), starting("plain")) == "busybox"
    assert line_of(loaded, ContainerFault("no", step="user", about=".user"), starting("web")) == "bob"


def test_what_nobody_wrote_points_at_what_is_around_it(loaded: LoadedStack) -> None:
    assert line_of(loaded, StackFileError("no", about=".hostname"), starting("plain")) == "plain"


def test_networks(loaded: LoadedStack) -> None:
    error = StackFileError("cannot create network p_n: driver 'weird' is not supported")
    assert line_of(loaded, error, CreateNetwork(id="n", key="n", name="p_n", reason="")) == "bridge"
    error = StackFileError("cannot attach a container to network p_n: 10.0.0.9 is not inside its subnet 10.1.0.0/16")
    assert line_of(loaded, error, starting("web")) == "10.0.0.9"


def test_memory_that_is_not_enough_to_begin_with(loaded: LoadedStack) -> None:
    text = "cannot start it: its process was killed by signal 9 while it was set up"
    fault = ContainerFault(text, step="start")
    assert killed_by_limit(fault, loaded.stack.services["web"])
    assert not killed_by_limit(fault, loaded.stack.services["plain"])
    assert line_of(loaded, fault, starting("web")) == "1m"


def test_a_line_of_an_inline_dockerfile(loaded: LoadedStack) -> None:
    error = StackFileError("no", where=Position(INLINE, 3, 1), snippet="RUNN x\n^^^^")
    loaded.point_inline(error, "built")
    assert error.where and (error.where.line, error.where.column) == (33, 9)
    assert error.snippet == "        RUNN x\n        ^^^^"


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({"file": INLINE, "line": 3}, "compose.yaml:33:9: careful"),
        ({"file": "{here}/sub/Dockerfile", "line": 3}, "sub/Dockerfile:3: careful"),
        ({"file": "/elsewhere/Dockerfile", "line": 3}, "/elsewhere/Dockerfile:3: careful"),
        ({"about": ".build.context"}, "compose.yaml:29:16: careful"),
        ({}, "careful"),
    ],
)
def test_where_a_builds_warning_is_said_to_be(loaded: LoadedStack, place: dict[str, object], told: str) -> None:
    event = {"message": "careful", "file": "", "line": 0, "about": "", **place}
    event["file"] = str(event["file"]).replace("{here}", str(loaded.source.directory))
    assert build_warning(event, "built", loaded) == told


def test_a_line_of_an_inline_dockerfile_that_a_variable_changed(loaded: LoadedStack) -> None:
    error = StackFileError("no", where=Position(INLINE, 3, 3), snippet="RUNN y\n  ^^^^")
    loaded.point_inline(error, "built")
    assert error.where and error.where.line == 33


def test_a_build_that_names_nothing(loaded: LoadedStack) -> None:
    action = BuildImage(id="b", service="built", image="p-built", reason="")
    assert line_of(loaded, StackFileError("no"), action) == "build"
