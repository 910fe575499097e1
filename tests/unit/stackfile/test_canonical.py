"""What ``config`` prints: long forms, as docker compose has them, readable again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from stackfile_support import load_text

from stackup.stackfile import canonical


def service(directory: Path, text: str, **more: Any) -> dict[str, Any]:
    whole = f"services:\n  s: {{image: i, {text}}}\n  x: {{image: i}}\n"
    result: dict[str, Any] = canonical(load_text(directory, whole, **more).stack)
    return dict(result["services"]["s"])


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("ports: ['8080:80']", "ports", [{"mode": "ingress", "target": 80, "published": "8080", "protocol": "tcp"}]),
        (
            "ports: ['[::1]:53:53/udp']",
            "ports",
            [{"mode": "ingress", "target": 53, "published": "53", "protocol": "udp", "host_ip": "::1"}],
        ),
        (
            "ports: ['9000-9001:80']",
            "ports",
            [{"mode": "ingress", "target": 80, "published": "9000-9001", "protocol": "tcp"}],
        ),
        ("mem_limit: 1g", "mem_limit", "1073741824"),
        ("stop_grace_period: 90s", "stop_grace_period", "1m30s"),
        ("cpus: '0.1'", "cpus", 0.1),
        ("cpus: 2", "cpus", 2),
        ("scale: 0", "scale", 0),
        ("init: false", "init", False),
        ("privileged: false", "privileged", None),
        ("labels: [a]", "labels", {"a": ""}),
        ("environment: {A: 1e6, B: }", "environment", {"A": "1e+06", "B": None}),
        ("command: echo $$HOME", "command", ["echo", "$$HOME"]),
        ("healthcheck: {test: curl x}", "healthcheck", {"test": ["CMD-SHELL", "curl x"]}),
        ("ulimits: {nproc: 5}", "ulimits", {"nproc": 5}),
        ("extra_hosts: ['b:[::1]', 'a=1.1.1.1']", "extra_hosts", ["a=1.1.1.1", "b=::1"]),
        (
            "depends_on: {x: {condition: service_started, required: false}}",
            "depends_on",
            {"x": {"condition": "service_started", "required": False}},
        ),
        ("pull_policy: if_not_present", "pull_policy", "missing"),
        ("gpus: all", "gpus", [{"count": -1}]),
        ("devices: [/dev/null]", "devices", [{"source": "/dev/null", "target": "/dev/null", "permissions": "rwm"}]),
        ("x-own: 1", "x-own", None),
    ],
)
def test_attributes(tmp_path: Path, text: str, key: str, value: object) -> None:
    found = service(tmp_path, text).get(key)
    assert found == value
    assert type(found) is type(value)


def test_grants_and_content(tmp_path: Path) -> None:
    text = """
        services: {s: {image: i, secrets: [a, {source: b, target: t, mode: 0400}], configs: [c]}}
        secrets: {a: {environment: TOKEN}, b: {file: ./f}}
        configs: {c: {content: "x $$y"}, unused: {content: z}}
        """
    loaded = load_text(tmp_path, text, environment={"TOKEN": "hush"})
    shown = canonical(loaded.stack)
    assert shown["services"]["s"]["secrets"] == [
        {"source": "a", "target": "/run/secrets/a"},
        {"source": "b", "target": "t", "mode": "0400"},
    ]
    assert shown["configs"] == {"c": {"name": f"{loaded.stack.name}_c", "content": "x $$y"}}
    assert "hush" not in str(shown)
    assert loaded.stack.secrets["a"].content == "hush"


def test_what_is_printed_reads_as_the_same_stack(tmp_path: Path) -> None:
    text = """
        services:
          s:
            build: {context: ., args: {A: 1}, ssh: [default], secrets: [t]}
            command: ["a", "$$b"]
            volumes: ['./x:/x:ro,z', 'vol:/v:nocopy', {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 01777}}]
            networks: {default: , n: {aliases: [q], ipv4_address: 10.9.0.5}}
            healthcheck: {test: [CMD, x], interval: 1m30s, retries: 2}
            deploy:
              replicas: 2
              resources: {limits: {memory: 1g, cpus: '.5'}}
              restart_policy: {condition: any, delay: 5s}
            ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}
            x-note: {k: v}
        networks: {n: {ipam: {config: [{subnet: 10.9.0.0/16}]}}}
        volumes: {vol: {labels: [a=b]}}
        secrets: {t: {file: ./t}}
        """
    first = load_text(tmp_path, text).stack
    second = load_text(tmp_path, yaml.safe_dump(canonical(first, complete=True))).stack
    assert canonical(second, complete=True) == canonical(first, complete=True)
    assert second.model_dump(exclude={"files"}) == first.model_dump(exclude={"files"})


def test_switches(tmp_path: Path) -> None:
    text = "services: {s: {image: 'i:${T}', env_file: no.env, volumes: ['./x:/x']}}\n"
    loaded = load_text(
        tmp_path, text, interpolate=False, resolve_paths=False, resolve_environment=False, check_consistency=False
    )
    node = loaded.tree.value["services"].value["s"]
    assert node.text("image") == "i:${T}"
    assert node.value["volumes"].value[0].text("source") == "./x"
    assert node.value["env_file"].value[0].text("path") == "no.env"
