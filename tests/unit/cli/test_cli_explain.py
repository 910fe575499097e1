"""``config --explain``: golden answers for one project that uses every way for a value to come about.

After a deliberate change: ``python tests/unit/cli/test_cli_explain.py`` writes the answers anew; read the difference as
a user would.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from stackup.base.errors import StackupError
from stackup.cli.explaintext import as_json, as_text
from stackup.cli.report import text as error_text
from stackup.stackfile import LoadRequest, load
from stackup.stackfile.explain import explain

GOLDEN = Path(__file__).with_name("explain.txt")
FILES = {
    "compose.yaml": """\
name: shop
x-env: &env
  DB_HOST: localhost
  LOG: ${LOG:-info}
services:
  base:
    image: "app:${TAG:-1.27}"
    environment:
      <<: *env
      MODE: slow
    command: run it
  web:
    extends: base
    env_file: [web.env, more.env]
    label_file: web.labels
    environment:
      DB_HOST: ${DB_HOST}
      TERM:
      EMPTY: ${NOPE}
      BOTH: ${BOTH}
      EXTRA: ${DB_HOST:+with a database}
    ports: ["8080:80", "${PORT:-9000}:90"]
    labels: {tier: front}
    healthcheck: &hc {test: curl localhost, interval: 1m30s}
    network_mode: service:other
  other:
    extends: {file: lib/common.yaml, service: far}
    healthcheck: *hc
    volumes:
      - type: bind
        source: ./data
        target: /data
  heavy:
    image: heavy
    command: [run, slowly]
    entrypoint: /start.sh
    healthcheck: {test: [CMD, check], interval: 5s}
    ulimits: {nofile: 1024, nproc: {soft: 10, hard: 20}}
    environment: {KEPT: a, GONE: "${TAG:-b}"}
    ports: ["81:81", "82:82"]
    dns: 10.0.0.1
    labels: {l: 1}
    volumes: ["./old:/data"]
    x-stackup: {ready: {http: {port: 80, status: [200, 204]}, timeout: 3s}}
  heavier:
    extends: heavy
    command: faster
    ports: !override ["83:83"]
include: [db/compose.yaml]
x-stackup: {allow: docker.sock}
""",
    "compose.override.yaml": """\
services:
  web:
    environment: ["DB_HOST=${DB_HOST:-x}", MODE=fast]
    stop_signal: !reset SIGINT
    mem_limit: 512m
  heavy:
    command:
      - run
      - fast
    entrypoint:
    healthcheck: {test: check again}
    ulimits: {nofile: {soft: 1, hard: 2}, nproc: 30}
    environment: !override {KEPT: b}
    ports: !reset []
    dns: !override [10.0.0.2]
    labels: !reset
    volumes: ["./new:/data"]
    x-stackup: {ready: {tcp: 80}}
""",
    "db/compose.yaml": 'services: {db: {image: pg, environment: {PW: "${PW}"}}}\n',
    "db/.env": "PW=secret\n",
    "lib/common.yaml": "services:\n  far:\n    extends: nearer\n  nearer:\n    image: far:1\n    restart: always\n",
    ".env": "# settings\nDB_HOST=old\nDB_HOST=db.internal\nBOTH=file\n",
    "web.env": "FROM_FILE=1\nDB_HOST=file\n",
    "more.env": "export FROM_FILE=2${TAG}\n",
    "web.labels": "tier=back\nown=yes\n",
}
PATHS = [
    "services.web.environment.DB_HOST",
    "services.web.environment",
    "services.web.image",
    "services.web.command",
    "services.web.command[1]",
    "services.web.ports",
    "services.web.labels",
    "services.web.mem_limit",
    "services.web.stop_signal",
    "services.web.depends_on",
    "services.web.healthcheck.timeout",
    "services.other",
    "services.db",
    "networks",
    "name",
    "services.web.environment.DB_HOTS",
    "web.image",
    "services.wob",
    "services.web.ports.7",
    "service",
    "services.heavy.command",
    "services.heavy.command[1]",
    "services.heavy.entrypoint",
    "services.heavy.healthcheck",
    "services.heavy.healthcheck.test",
    "services.heavy.ulimits",
    "services.heavy.environment",
    "services.heavy.environment.GONE",
    "services.heavy.ports",
    "services.heavy.ports[1]",
    "services.heavy.dns",
    "services.heavy.labels.l",
    "services.heavy.volumes",
    "services.heavier.command",
    "services.heavier.ports",
    "services.heavy.x-stackup.ready",
    "services.heavy.x-stackup.ready.http.status[1]",
    "x-stackup.allow[0]",
    "x-stackup.allow.0",
    "x-stackup.allow",
]


def project(directory: Path) -> Path:
    for name, text in FILES.items():
        path = directory / "ex" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory / "ex"


def answer(directory: Path, path: str) -> str:
    environment = {"HOME": "/home/u", "TERM": "xterm", "BOTH": "shell"}
    loaded = load(LoadRequest(directory, environment=environment, run=False))
    try:
        return as_text(explain(loaded, path), colour=False).replace(str(directory), "DIR")
    except StackupError as error:
        return error_text(error)


def blocks() -> dict[str, str]:
    parts = GOLDEN.read_text(encoding="utf-8").split(">>> ")[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


@pytest.mark.parametrize("path", PATHS)
def test_explanation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    directory = project(tmp_path)
    monkeypatch.chdir(directory)
    assert answer(directory, path) == blocks()[path]


def test_every_value_of_the_stack_can_be_explained(tmp_path: Path) -> None:
    loaded = load(LoadRequest(project(tmp_path), environment={"HOME": "/home/u"}, run=False))
    explanations = explain(loaded, "")
    assert len(explanations) > 30
    assert all(item.layers for item in explanations)


def test_json(tmp_path: Path) -> None:
    loaded = load(LoadRequest(project(tmp_path), environment={"HOME": "/home/u"}, run=False))
    (item,) = json.loads(as_json(explain(loaded, "services.web.environment.DB_HOST")))
    assert item["value"] == "db.internal"
    assert [layer["kind"] for layer in item["layers"]] == ["stack file", "stack file", "stack file", "env file"]
    assert item["layers"][0]["variables"][0]["found"]["where"]["line"] == 3


def test_content_of_secrets_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services: {a: {image: i, secrets: [s], configs: [c]}}\n"
        "secrets: {s: {environment: PW}}\nconfigs: {c: {environment: CF}}\n"
    )
    loaded = load(LoadRequest(tmp_path, environment={"PW": "hush", "CF": "open"}, run=False))
    assert "hush" not in as_text(explain(loaded, ""), colour=False)
    (config,) = explain(loaded, "configs.c.content")
    assert config.layers[0].variables[0].name == "CF"
    assert config.value == "open"


def test_colours_on_a_terminal_only(tmp_path: Path) -> None:
    loaded = load(LoadRequest(project(tmp_path), environment={"HOME": "/home/u"}, run=False))
    found = explain(loaded, "services.web.image")
    assert "\033[" in as_text(found, colour=True)
    assert "\033[" not in as_text(found, colour=False)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        directory = project(Path(scratch).resolve())
        os.chdir(directory)
        written = "\n".join(f">>> {path}\n{answer(directory, path)}".rstrip("\n") for path in PATHS) + "\n"
        os.chdir("/")
    GOLDEN.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
