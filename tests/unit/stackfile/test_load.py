"""Files, names, environment, profiles: from a user's wish to a Stack."""

from __future__ import annotations

from pathlib import Path

import pytest
from stackfile_support import load_in, load_text, write

from stackup.base.errors import StackFileError, UsageError

WEB = "services: {web: {image: a}}\n"


def test_the_first_known_name_wins_and_its_override_is_merged(tmp_path: Path) -> None:
    write(tmp_path, docker_compose__yml=WEB)  # an unknown name
    (tmp_path / "docker-compose.yml").write_text("services: {old: {image: a}}\n")
    write(tmp_path, compose__yaml=WEB, compose__override__yaml="services: {web: {hostname: h}}\n")
    loaded = load_in(tmp_path)
    assert loaded.stack.services["web"].hostname == "h"
    assert loaded.stack.files == (str(tmp_path / "compose.yaml"), str(tmp_path / "compose.override.yaml"))
    assert "compose.yaml is used" in str(loaded.warnings[0])


def test_parents_are_searched_and_the_project_is_there(tmp_path: Path) -> None:
    write(tmp_path, compose__yaml=WEB)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert load_in(below).stack.directory == str(tmp_path)


def test_override_files_do_not_join_named_ones(tmp_path: Path) -> None:
    write(tmp_path, compose__yaml=WEB, compose__override__yaml="services: {web: {hostname: h}}\n")
    assert load_in(tmp_path, "compose.yaml").stack.services["web"].hostname is None


def test_stack_yaml_only_when_it_is_ours(tmp_path: Path) -> None:
    write(tmp_path, stack__yaml="resolver: lts-22\npackages: [.]\n")
    with pytest.raises(StackFileError, match="cannot find a stack file"):
        load_in(tmp_path)
    write(tmp_path, stack__yaml=WEB)
    assert load_in(tmp_path).stack.services


def test_compose_file_variable(tmp_path: Path) -> None:
    write(tmp_path, a__yaml=WEB, b__yaml="services: {web: {hostname: h}}\n")
    loaded = load_in(tmp_path, environment={"COMPOSE_FILE": "a.yaml,b.yaml", "COMPOSE_PATH_SEPARATOR": ","})
    assert loaded.stack.services["web"].hostname == "h"


def test_standard_input(tmp_path: Path) -> None:
    loaded = load_in(tmp_path, "-", stdin=WEB)
    assert loaded.stack.directory == str(tmp_path)
    assert loaded.position("services.web.image") is not None


@pytest.mark.parametrize(
    ("more", "environment", "text", "name"),
    [
        ({"project_name": "p"}, {"COMPOSE_PROJECT_NAME": "e"}, "name: n\n", "p"),
        ({}, {"COMPOSE_PROJECT_NAME": "e"}, "name: n\n", "e"),
        ({}, {}, "name: n\n", "n"),
        ({}, {"X": "y"}, "name: n-${X}\n", "n-y"),
        ({}, {}, "name: My Project\n", "myproject"),
        ({}, {}, "", "some_dir"),
    ],
)
def test_project_names(tmp_path: Path, more: dict[str, str], environment: dict[str, str], text: str, name: str) -> None:
    directory = tmp_path / "_Some_Dir"
    directory.mkdir()
    loaded = load_text(directory, text + WEB, environment=environment, **more)
    assert loaded.stack.name == name
    assert loaded.stack.networks["default"].name == f"{name}_default"


def test_bad_explicit_names_are_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot use project name 'A B'"):
        load_text(tmp_path, WEB, project_name="A B")


def test_environment_beats_dotenv_and_later_env_files_win(tmp_path: Path) -> None:
    text = "services: {web: {image: '${A}${B}${C}'}}\n"
    write(tmp_path, __env="A=1\nB=1\nC=1\n", x__env="A=2\nB=2\nC=2\n", y__env="B=3\n")
    assert load_text(tmp_path, text, environment={"C": "0"}).stack.services["web"].image == "110"
    loaded = load_text(tmp_path, text, env_files=("x.env", "y.env"))
    assert loaded.stack.services["web"].image == "232"
    off = load_text(tmp_path, text, environment={"COMPOSE_DISABLE_ENV_FILE": "1", "A": "a"})
    assert off.stack.services["web"].image == "a"


def test_what_was_read_is_told(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "services: {web: {image: '${A:-x}', env_file: [{path: no.env, required: false}]}}\n")
    assert [Path(item.path).name for item in loaded.inputs] == ["compose.yaml"]
    status = (tmp_path / "compose.yaml").stat()
    assert (loaded.inputs[0].mtime_ns, loaded.inputs[0].size) == (status.st_mtime_ns, status.st_size)
    assert {str(tmp_path / name) for name in (".env", "no.env", "compose.override.yaml")} <= set(loaded.absent)
    assert loaded.variables["A"] is None
    assert loaded.variables["HOME"] == "/home/u"


def test_env_files_and_environment(tmp_path: Path) -> None:
    write(tmp_path, a__env="A=1\nB=${A}${HOSTED}\nC=1\n", b__env="C=2\nE=x\n")
    text = """
        services:
          web:
            image: a
            env_file: [a.env, {path: b.env, format: raw}]
            environment: {E: '', HOSTED: , NOWHERE: , N: 1.50, T: true}
        """
    environment = load_text(tmp_path, text, environment={"HOSTED": "h"}).stack.services["web"].environment
    assert environment == {
        "A": "1",
        "B": "1h",
        "C": "2",
        "E": "",
        "HOSTED": "h",
        "NOWHERE": None,
        "N": "1.5",
        "T": "true",
    }


def test_profiles(tmp_path: Path) -> None:
    text = """
        services:
          web: {image: a}
          debug: {image: a, profiles: [dev], volumes: ['vol:/v']}
        volumes: {vol: }
        """
    plain = load_text(tmp_path, text)
    assert (list(plain.stack.services), list(plain.stack.disabled), list(plain.stack.volumes)) == (
        ["web"],
        ["debug"],
        [],
    )
    assert set(load_text(tmp_path, text, profiles=("dev",)).stack.services) == {"web", "debug"}
    assert set(load_text(tmp_path, text, environment={"COMPOSE_PROFILES": "x,dev"}).stack.volumes) == {"vol"}
    assert set(load_text(tmp_path, text, profiles=("*",)).stack.services) == {"web", "debug"}


def test_paths_are_made_absolute(tmp_path: Path) -> None:
    text = """
        services:
          web:
            build: {dockerfile: D}
            volumes: ['./data:/data/', '~/x:/x:ro', '/abs:/abs', 'vol:/v']
        volumes: {vol: }
        """
    service = load_text(tmp_path, text).stack.services["web"]
    assert service.build is not None
    assert service.build.context == str(tmp_path)
    sources = [(mount.type, mount.source, mount.target, mount.read_only) for mount in service.volumes]
    assert sources == [
        ("bind", f"{tmp_path}/data", "/data", False),
        ("bind", "/home/u/x", "/x", True),
        ("bind", "/abs", "/abs", False),
        ("volume", "vol", "/v", False),
    ]


def test_implied_dependencies_and_default_network(tmp_path: Path) -> None:
    text = """
        services:
          a: {image: a, network_mode: 'service:b', volumes_from: [c], links: ['d:x']}
          b: {image: a, depends_on: [c]}
          c: {image: a, networks: [n]}
          d: {image: a}
        networks: {n: {internal: true}}
        """
    services = load_text(tmp_path, text).stack.services
    assert {name: item.restart for name, item in services["a"].depends_on.items()} == {"b": True, "c": False, "d": True}
    assert dict(services["a"].networks) == {}
    assert list(services["b"].networks) == ["default"]
    assert list(services["c"].networks) == ["n"]


def test_places_survive_to_the_end(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "services:\n  web:\n    image: ${A:-b}\n    ports:\n      - 8080:80\n")
    assert str(loaded.position("services.web.image")) == f"{tmp_path}/compose.yaml:3:12"
    assert str(loaded.position("services.web.ports.0")) == f"{tmp_path}/compose.yaml:5:9"
    assert str(loaded.key_position("services.web")) == f"{tmp_path}/compose.yaml:2:3"
    assert loaded.position("services.nobody") is None


def test_the_home_under_sudo_is_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    loaded = load_text(
        tmp_path, "services: {a: {image: a, volumes: ['~/x:/x']}}", environment={"SUDO_USER": "root", "HOME": "/other"}
    )
    assert loaded.stack.services["a"].volumes[0].source == "/root/x"


def test_typed_extension(tmp_path: Path) -> None:
    text = """
        services:
          web:
            image: a
            x-stackup:
              ready: {http: {port: 80, path: /up}, interval: 500ms}
              restart_when: unhealthy
              backoff: {delay: 1s, maximum: 1m}
            x-other: {k: [1]}
        """
    service = load_text(tmp_path, text).stack.services["web"]
    assert service.stackup.ready is not None
    assert service.stackup.ready.http is not None
    assert (service.stackup.ready.http.path, service.stackup.ready.interval) == ("/up", 0.5)
    assert service.stackup.restart_when == ("unhealthy",)
    assert service.extensions["x-other"] == {"k": [1]}
