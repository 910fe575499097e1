"""Several files, extends, include: who wins, what is joined, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stackfile_support import load_in, load_text, write

from stackup.base.errors import StackFileError
from stackup.stackfile import canonical


def merged(directory: Path, base: str, over: str) -> dict[str, Any]:
    write(directory, a__yaml="services:\n  s: {image: i, " + base + "}\n", b__yaml="services:\n  s: {" + over + "}\n")
    result: dict[str, Any] = canonical(load_in(directory, "a.yaml", "b.yaml", check_consistency=False).stack)
    return dict(result["services"]["s"])


@pytest.mark.parametrize(
    ("base", "over", "key", "value"),
    [
        ("command: a b", "command: [c]", "command", ["c"]),
        ("command: a b", "command: ", "command", None),
        ("entrypoint: [a]", "hostname: h", "entrypoint", ["a"]),
        ("environment: {A: 1, B: 1}", "environment: [B=2, C=3]", "environment", {"A": "1", "B": "2", "C": "3"}),
        ("labels: [a=1]", "labels: {b: 2}", "labels", {"a": "1", "b": "2"}),
        ("dns: 1.1.1.1", "dns: [8.8.8.8, 1.1.1.1]", "dns", ["1.1.1.1", "8.8.8.8"]),
        ("cap_add: [A]", "cap_add: [B, A]", "cap_add", ["A", "B"]),
        ("expose: [80]", "expose: ['80', 81]", "expose", ["80", "81"]),
        ("hostname: a", "hostname: b", "hostname", "b"),
        ("hostname: a", "hostname: !reset null", "hostname", None),
        ("dns: [1.1.1.1]", "dns: !override [8.8.8.8]", "dns", ["8.8.8.8"]),
        ("environment: {A: 1, B: 2}", "environment: {A: !reset null}", "environment", {"B": "2"}),
        (
            "ulimits: {nproc: 1, nofile: {soft: 1, hard: 2}}",
            "ulimits: {nproc: 5}",
            "ulimits",
            {"nproc": 5, "nofile": {"soft": 1, "hard": 2}},
        ),
        (
            "healthcheck: {test: a, retries: 2}",
            "healthcheck: {test: [CMD, b]}",
            "healthcheck",
            {"test": ["CMD", "b"], "retries": 2},
        ),
        (
            "logging: {driver: a, options: {x: 1}}",
            "logging: {options: {y: 2}}",
            "logging",
            {"driver": "a", "options": {"x": "1", "y": "2"}},
        ),
        ("logging: {driver: a, options: {x: 1}}", "logging: {driver: b}", "logging", {"driver": "b"}),
        ("extra_hosts: [a=1.1.1.1]", "extra_hosts: {a: 2.2.2.2}", "extra_hosts", ["a=1.1.1.1", "a=2.2.2.2"]),
        ("deploy: {replicas: 2}", "deploy: {labels: {a: b}}", "deploy", {"replicas": 2, "labels": {"a": "b"}}),
        ("privileged: true", "privileged: false", "privileged", None),
    ],
)
def test_merge_rules(tmp_path: Path, base: str, over: str, key: str, value: object) -> None:
    assert merged(tmp_path, base, over).get(key) == value


def test_ports_are_the_same_by_address_and_both_numbers(tmp_path: Path) -> None:
    ports = merged(
        tmp_path, "ports: ['80:80', '127.0.0.1:80:80']", "ports: [{target: 80, published: '80', name: x}, 81]"
    )["ports"]
    assert [(port.get("host_ip"), port.get("published"), port["target"], port.get("name")) for port in ports] == [
        (None, "80", 80, "x"),
        ("127.0.0.1", "80", 80, None),
        (None, None, 81, None),
    ]


def test_volumes_are_the_same_by_target(tmp_path: Path) -> None:
    volumes = merged(tmp_path, "volumes: ['/a:/x', '/b:/y']", "volumes: ['/c:/x:ro']")["volumes"]
    assert [(item["source"], item["target"], item.get("read_only", False)) for item in volumes] == [
        ("/c", "/x", True),
        ("/b", "/y", False),
    ]


def test_depends_on_joins_short_and_long(tmp_path: Path) -> None:
    both = merged(tmp_path, "depends_on: [a, b]", "depends_on: {a: {condition: service_healthy}}")["depends_on"]
    assert both == {
        "a": {"condition": "service_healthy", "required": True},
        "b": {"condition": "service_started", "required": True},
    }


def test_reset_is_not_carried_along_by_an_alias(tmp_path: Path) -> None:
    write(
        tmp_path,
        a__yaml="services: {s: {image: i, ports: ['80:80']}}\n",
        b__yaml="x-y: &y\n  ports: !reset []\nservices:\n  s:\n    <<: *y\n",
    )
    assert load_in(tmp_path, "a.yaml", "b.yaml").stack.services["s"].ports


EXTENDS = """
services:
  web:
    extends: {file: sub/base.yaml, service: base}
    environment: {B: 2}
"""
BASE = """
services:
  base:
    extends: lowest
    build: .
    environment: {A: 1, B: 1}
    volumes: ['./data:/data']
  lowest: {hostname: low}
  broken: {imagee: x}
"""


def test_extends_across_files_keeps_their_directories(tmp_path: Path) -> None:
    write(tmp_path, compose__yaml=EXTENDS, sub___base__yaml=BASE)
    service = load_in(tmp_path).stack.services["web"]
    assert service.environment == {"A": "1", "B": "2"}
    assert (service.hostname, service.volumes[0].source) == ("low", f"{tmp_path}/sub/data")
    assert service.build is not None
    assert service.build.context == f"{tmp_path}/sub"


def test_extends_in_a_circle(tmp_path: Path) -> None:
    text = "services:\n  a: {image: x, extends: b}\n  b: {extends: c}\n  c: {extends: a}\n"
    with pytest.raises(StackFileError) as caught:
        load_text(tmp_path, text)
    assert "a circle, a -> b -> c -> a" in caught.value.message
    assert "b extends c: compose.yaml:3:16: b: {extends: c}" in caught.value.hint.split("\n")


def test_include_has_its_own_directory_and_variables(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose__yaml="include: [sub/compose.yaml]\nservices: {web: {image: a, depends_on: [db]}}\n",
        sub___compose__yaml="services: {db: {image: 'db:${TAG}', volumes: ['./d:/d'], environment: [TAG]}}\n",
    )
    (tmp_path / "sub" / ".env").write_text("TAG=1\nOTHER=sub\n")
    (tmp_path / ".env").write_text("OTHER=top\n")
    db = load_in(tmp_path).stack.services["db"]
    assert (db.image, db.volumes[0].source, db.environment) == ("db:1", f"{tmp_path}/sub/d", {"TAG": "1"})


def test_include_conflicts_and_circles(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose__yaml="include: [b.yaml]\nservices: {web: {image: a}}\n",
        b__yaml="include: [compose.yaml]\nservices: {web: {image: b}}\n",
    )
    with pytest.raises(StackFileError) as caught:
        load_in(tmp_path)
    texts = [caught.value.message, *(item.message for item in caught.value.details)]
    assert any("files include each other" in text for text in texts)
    assert any("services.web" in text and "defines it too" in text for text in texts)


def test_equal_resources_may_come_from_two_includes(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose__yaml="include: [a.yaml, b.yaml]\n",
        a__yaml="services: {a: {image: x, networks: [n]}}\nnetworks: {n: {internal: true}}\n",
        b__yaml="services: {b: {image: x, networks: [n]}}\nnetworks: {n: {internal: true}}\n",
    )
    assert load_in(tmp_path).stack.networks["n"].internal


def test_address_pools_of_one_subnet_are_joined(tmp_path: Path) -> None:
    text = "services: {s: {image: i, networks: [n]}}\nnetworks: {n: {ipam: {config: %s}}}\n"
    write(
        tmp_path,
        a__yaml=text % "[{subnet: 10.1.0.0/16, gateway: 10.1.0.1}, {subnet: 10.2.0.0/16}]",
        b__yaml=text % "[{subnet: 10.1.0.0/16, ip_range: 10.1.1.0/24}]",
    )
    (pool,) = load_in(tmp_path, "a.yaml", "b.yaml").stack.networks["n"].ipam.config
    assert (pool.gateway, pool.ip_range) == ("10.1.0.1", "10.1.1.0/24")
