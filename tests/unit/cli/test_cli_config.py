"""``stackup config``: every flag, in the shape that docker compose gives its answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import stackup
from stackup.cli import quick
from tests.support.fakeregistry import FakeRegistry, some_layer

Config = Callable[..., str]

STACK = """\
name: shop
services:
  web:
    image: "nginx:${TAG:-1.27}"
    command: nginx -g 'daemon off;'
    depends_on: [db]
    ports: ["${PORT:?which port}:80"]
    healthcheck: {test: curl -f http://localhost, interval: 1m30s}
    deploy: {resources: {limits: {memory: 512m, cpus: 0.5}}}
    env_file: web.env
    models: [llm]
    configs: [{source: site, mode: 0440}]
    x-own: {interval: 1.5}
  db:
    image: nginx:1.27
    volumes: ["data:/d", "./local:/l"]
    environment: {PASSWORD: "a$$b", NOTHING: }
    ulimits: {nofile: 10}
    extra_hosts: ["gw=10.0.0.1"]
  job:
    build: .
    profiles: [once, more]
volumes: {data: {}, unused: {}}
networks: {unused: {}}
configs: {site: {content: "hello ${NAME+there}"}}
models: {llm: {model: ai/small}}
x-top: {a: 1}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Config:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKUP_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("PORT", "8080")
    for name in ("TAG", "NAME", "COMPOSE_PROFILES", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "compose.yaml").write_text(STACK)
    (tmp_path / "web.env").write_text("MODE=fast\n")

    def run(*argv: str, code: int = 0) -> str:
        options = [item for item in argv if item.startswith("--profile=")]
        assert quick.main([*options, "config", *(item for item in argv if item not in options)]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    return run


def test_lists(config: Config) -> None:
    assert config("--services") == "db\nweb\n"
    assert config("--services", "--profile=*") == "db\njob\nweb\n"
    assert config("--images") == "nginx:1.27\nnginx:1.27\n"
    assert config("--images", "job") == "shop-job\n"
    assert config("--volumes") == "data\n"
    assert config("--volumes", "web") == "data\n"
    assert config("--networks") == "default\n"
    assert config("--models") == "ai/small\n"
    assert config("--profiles") == "more\nonce\n"
    assert "PORT=8080\n" in config("--environment")
    assert "COMPOSE_PROJECT_NAME=shop\n" in config("--environment")


def test_hashes(config: Config) -> None:
    first, second = config("--hash", "*").splitlines()
    assert (first.split()[0], second.split()[0]) == ("db", "web")
    assert config("--hash", "web").strip() == second
    assert config("--hash", "web,db").splitlines() == [first, second]
    assert "did you mean 'web'?" in config("--hash", "wob", code=64)


def test_variables(config: Config) -> None:
    assert config("--variables") == (
        "NAME                REQUIRED            DEFAULT VALUE       ALTERNATE VALUE\n"
        "NAME                false                                   there\n"
        "PORT                true                                    \n"
        "TAG                 false               1.27                \n"
    )
    assert json.loads(config("--variables", "--format", "json"))["TAG"] == {
        "Name": "TAG",
        "DefaultValue": "1.27",
        "PresenceValue": "",
        "Required": False,
    }
    assert 'TAG:\n  name: TAG\n  defaultvalue: "1.27"\n' in config("--variables", "--format", "yaml")


def test_yaml(config: Config) -> None:
    assert config("db") == (
        "name: shop\nservices:\n  db:\n    environment:\n      NOTHING: null\n      PASSWORD: a$$b\n"
        "    extra_hosts:\n      - gw=10.0.0.1\n    image: nginx:1.27\n    networks:\n      default: null\n"
        "    ulimits:\n      nofile: 10\n    volumes:\n      - source: data\n        target: /d\n        type: volume\n"
        "        volume: {}\n"
        "      - bind:\n          create_host_path: true\n"
        f"        source: {Path.cwd()}/local\n        target: /l\n        type: bind\n"
        "networks:\n  default:\n    name: shop_default\nvolumes:\n  data:\n    name: shop_data\nx-top:\n  a: 1\n"
    )
    text = config()
    assert "x-own:" in text
    assert "models:\n  llm:\n    model: ai/small\n    name: shop_llm\n" in text


def test_json_has_what_docker_compose_gives(config: Config) -> None:
    data = json.loads(config("--format", "json"))
    assert "models" not in data
    assert "x-own" not in data["services"]["web"]
    assert data["services"]["db"]["command"] is None
    assert data["x-top"] == {"a": 1}


def test_what_was_written(config: Config, tmp_path: Path) -> None:
    text = config("--no-interpolate")
    assert "image: nginx:${TAG:-1.27}\n" in text
    assert "interval: 1m30s" in text
    assert 'mode: "0440"' in text
    assert "nofile: 10\n" in text
    assert "PASSWORD: a$$b" in text
    assert "- gw=10.0.0.1\n" in text
    filled = config()
    (tmp_path / "compose.yaml").write_text(text)
    assert config() == filled


def test_what_is_printed_reads_back(config: Config, tmp_path: Path) -> None:
    text = config("--profile=*")
    (tmp_path / "compose.yaml").write_text(text)
    assert config("--profile=*") == text


def test_switches(config: Config, tmp_path: Path) -> None:
    assert "source: ./local\n" in config("--no-path-resolution")
    assert "env_file:\n      - path: " in config("--no-env-resolution")
    assert "networks" not in config("--no-normalize", "db")
    (tmp_path / "compose.yaml").write_text("services: {web: {image: a, networks: [none]}}")
    assert "none" in config("--no-consistency")
    config(code=1)


def test_output(config: Config, tmp_path: Path) -> None:
    assert config("-o", "out.yaml") == ""
    assert (tmp_path / "out.yaml").read_text() == config()
    assert config("-q", "-o", "other.yaml") == ""
    assert not (tmp_path / "other.yaml").exists()
    assert "cannot write" in config("-o", "no/such/dir.yaml", code=1)


def test_a_service_that_is_named_is_shown_with_its_profile(config: Config) -> None:
    assert list(json.loads(config("job", "--format", "json"))["services"]) == ["job"]
    assert "there is no such service" in config("jbo", code=64)


def test_schema_is_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert quick.main(["schema"]) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["title"] == "Stack file"
    assert quick.main(["schema", "-o", "s.json"]) == 0
    assert (tmp_path / "s.json").read_text() == text


def test_what_up_would_say_is_a_warning(tmp_path: Path, config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: a, userns_mode: remap, gpus: all, cpu_count: 2}}\n")
    assert quick.main(["config", "-q"]) == 0
    said = capsys.readouterr().err
    assert "warning: services.web.gpus is not carried out yet: no GPU is handed in\n" in said
    assert "warning: services.web.cpu_count has no effect here: it exists on Windows only\n" in said
    assert "warning: up refuses this: cannot use services.web.userns_mode: " in said
    assert quick.main(["config", "-q", "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().err)["warnings"]) == 3


def test_errors_and_warnings_as_data(tmp_path: Path, config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "compose.yaml").write_text("version: '3'\nservices: {web: {imag: a}}\n")
    assert quick.main(["config", "--format", "json"]) == 1
    data = json.loads(capsys.readouterr().err)
    assert data["errors"][0]["where"]["line"] == 2
    assert data["errors"][0]["hint"] == "did you mean 'image'?"
    assert data["warnings"][0]["message"] == "version is obsolete and ignored"


def test_lists_as_json(config: Config) -> None:
    assert json.loads(config("--services", "--format", "json")) == ["db", "web"]
    assert json.loads(config("--environment", "--format", "json"))["PORT"] == "8080"
    hashes = json.loads(config("--hash", "*", "--format", "json"))
    assert config("--hash", "*") == "".join(f"{name} {value}\n" for name, value in hashes.items())


def test_digests(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of the registry: once for each image, and not where it is written already."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with FakeRegistry().serving() as registry:
        digest = registry.image("team/app", "1", [some_layer("etc")])
        name = f"{registry.host}/team/app:1"
        fixed = f"docker.io/library/c:2@sha256:{'c' * 64}"
        services = f"a: {{image: {name}}}, b: {{image: {name}}}, c: {{image: '{fixed}'}}, d: {{build: .}}"
        Path("compose.yaml").write_text(f"services: {{{services}}}\n")
        resolved = json.loads(config("--resolve-image-digests", "--format", "json"))["services"]
        image = resolved["a"]["image"]
        assert image == f"{name}@{digest}"
        assert len(registry.requests("HEAD", "/manifests/1")) == 1
        assert json.loads(config("--lock-image-digests", "--format", "json")) == {
            "services": {"a": {"image": image}, "b": {"image": image}, "c": {"image": fixed}, "d": {}}
        }
        Path("compose.yaml").write_text(f"services: {{a: {{image: {registry.host}/none:1}}}}\n")
        assert f"cannot resolve {registry.host}/none:1: " in config("--lock-image-digests", code=1)


def test_hashes_are_those_of_what_runs(config: Config, tmp_path: Path) -> None:
    def hashes(mode: str) -> str:
        (tmp_path / "compose.yaml").write_text(f"services: {{web: {{image: a{mode}}}}}\n")
        return config("--hash", "web")

    assert hashes(", network_mode: bridge") == hashes("") != hashes(", network_mode: host")


def test_python_s_own_locale_is_no_variable(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: a}}\n")
    command = [sys.executable, "-P", "-m", "stackup", "config", "--environment"]
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(stackup.__file__).parents[1])}
    for more in ({}, {"LC_CTYPE": "C.UTF-8"}):
        done = subprocess.run(command, cwd=tmp_path, env={**given, **more}, capture_output=True, text=True, check=True)
        assert ("LC_CTYPE=" in done.stdout) is bool(more)


def test_warnings_stand_in_the_order_of_the_lines_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKUP_ROOT", str(tmp_path / "root"))
    (tmp_path / "compose.yaml").write_text(
        "services:\n  a: {image: a, gpus: all}\n  b: {image: '${NO}a', gpus: all, stop_signal: X}\n"
        "  c: {image: a, cpu_count: 1, volumes: ['/run/docker.sock:/s']}\nnetworks: {default: {driver: no}}\n"
    )
    assert quick.main(["config", "-q"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("warning", "  --> "))]
    assert [line.rpartition("yaml:")[2] for line in said[1::2]] == ["2:17", "3:15", "3:48", "4:17", "4:41", "5:22"]
    assert sum("gpus" in line for line in said) == 1 and "(and 1 more like it)" in said[0]
    assert "up refuses this: cannot use 'X'" in said[4] and "up asks about services.c.volumes[0]" in said[8]
    assert quick.main(["config", "--services"]) == 0
    assert "is not carried out" not in capsys.readouterr().err


def test_explain_warns_of_nothing_else(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """Who asks about one value is not told what the loader thinks of others; ``config`` alone says it."""
    Path("compose.yaml").write_text("version: '3'\nservices: {a: {image: 'i:${NO_TAG}', gpus: all}}\n")
    for argv, told in ((["--explain", "services.a.image"], 0), ([], 3)):
        assert quick.main(["config", *argv]) == 0
        assert capsys.readouterr().err.count("warning: ") == told


def test_one_document_where_an_answer_cannot_be_given(
    tmp_path: Path, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "compose.yaml").write_text("version: '3'\nservices: {web: {image: a}}\n")
    assert quick.main(["config", "nosuch", "--format", "json"]) == 64
    data = json.loads(capsys.readouterr().err)
    assert (len(data["errors"]), len(data["warnings"])) == (1, 1)


def test_all_that_stands_in_the_way_of_up_is_told_at_once(
    tmp_path: Path, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services:\n  a:\n    image: x\n    restart: always:3\n"
        "    logging: {driver: nosuch}\n    devices: [/dev/nosuch]\n"
    )
    assert quick.main(["plan"]) == 1
    said = capsys.readouterr().err
    assert [line.split(": ")[0] for line in said.splitlines() if line.startswith("error")] == ["error"] * 3
    assert [said.index(word) for word in ("always:3", "nosuch", "/dev/nosuch")] == sorted(
        said.index(word) for word in ("always:3", "nosuch", "/dev/nosuch")
    )
    assert "3 errors" in said
