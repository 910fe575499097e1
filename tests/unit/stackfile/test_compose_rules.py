"""What docker compose 2.40 takes and refuses, rule by rule, as its loader and its schema have them.

``TAKEN``: attributes of a service and what ``config`` shows for them. ``REFUSED``: attributes and a part of
what is said. The service stands beside another one, ``b``, and the resources in ``AROUND``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from stackfile_support import errors_of, load_in, load_text, write

from stackup.base.errors import StackFileError
from stackup.stackfile import canonical

AROUND = """
  b: {image: y}
networks: {n: }
volumes: {vol: }
secrets: {s: {file: ./s}, t: {environment: T}}
configs: {c: {content: x}}
"""


def stack(attributes: str, image: str = "image: i") -> str:
    lines = [f"    {line}" for line in attributes.split("\n")]
    return "\n".join(["services:", "  a:", f"    {image}", *lines]) + AROUND


TAKEN: list[tuple[str, dict[str, Any]]] = [
    # zero is not nothing where Compose keeps a pointer
    ("stop_grace_period: 0s", {"stop_grace_period": "0s"}),
    ("healthcheck: {test: x, start_period: 0s}", {"healthcheck": {"test": ["CMD-SHELL", "x"], "start_period": "0s"}}),
    ("deploy: {restart_policy: {delay: 0s}}", {"deploy": {"restart_policy": {"delay": "0s"}}}),
    ("deploy: {update_config: {delay: 0s, order: stop-first}}", {"deploy": {"update_config": {"order": "stop-first"}}}),
    # numbers
    ("cpu_shares: 73.7", {"cpu_shares": 73}),
    ("pids_limit: 5.0", {"pids_limit": 5}),
    ("healthcheck: {retries: '3'}", {"healthcheck": {"retries": 3}}),
    ("mem_limit: 1.5g", {"mem_limit": "1610612736"}),
    ("mem_limit: '1 k'", {"mem_limit": "1024"}),
    ("memswap_limit: -1", {"memswap_limit": "-1"}),
    ("oom_score_adj: '-5'", {"oom_score_adj": -5}),
    ("stop_grace_period: 1w2d", {"stop_grace_period": "216h0m0s"}),
    # flags
    ("privileged: 'Yes'", {"privileged": True}),
    ("init: 'off'", {"init": False}),
    # scalars as Go prints them
    (
        "labels: {a: 1.50, b: 0o17, c: 1e7, d: 017, e: 1_000}",
        {"labels": {"a": "1.5", "b": "15", "c": "1e+07", "d": "15", "e": "1000"}},
    ),
    (
        "labels: {a: 2024-1-2, b: 2024-01-02T03:04:05Z}",
        {"labels": {"a": "2024-01-02 00:00:00 +0000 UTC", "b": "2024-01-02 03:04:05 +0000 UTC"}},
    ),
    ("labels: {a: yes, b: on, c: ~, d: '2024-01-02'}", {"labels": {"a": "yes", "b": "on", "c": "", "d": "2024-01-02"}}),
    ("environment: [A, B=, C=1=2]", {"environment": {"A": None, "B": "", "C": "1=2"}}),
    ("logging: {driver: d, options: {a: 1.5, b: 2}}", {"logging": {"driver": "d", "options": {"a": "1.5", "b": "2"}}}),
    # lists that are sets
    ("cap_add: [X, Y, X]", {"cap_add": ["X", "Y"]}),
    ("expose: ['80', 80, 81]", {"expose": ["80", "81"]}),
    ("dns: ['', 1.1.1.1, 1.1.1.1]", {"dns": ["1.1.1.1"]}),
    ("ports: [80, '80']", {"ports": [{"mode": "ingress", "target": 80, "protocol": "tcp"}]}),
    ("ports: [':80']", {"ports": [{"mode": "ingress", "target": 80, "protocol": "tcp"}]}),
    (
        "ports: ['0.0.0.0:8:80', '8:80']",
        {"ports": [{"mode": "ingress", "target": 80, "published": "8", "protocol": "tcp"}]},
    ),
    ("ports: ['8-9:80/UDP']", {"ports": [{"mode": "ingress", "target": 80, "published": "8-9", "protocol": "udp"}]}),
    (
        "volumes: ['vol:/x', './d:/x/:ro,Z']",
        {
            "volumes": [
                {
                    "type": "bind",
                    "source": "@/d",
                    "target": "/x",
                    "read_only": True,
                    "bind": {"create_host_path": True, "selinux": "Z"},
                }
            ]
        },
    ),
    (
        "volumes: ['c:/x:/y']",
        {"volumes": [{"type": "bind", "source": "c:/x", "target": "/y", "bind": {"create_host_path": True}}]},
    ),
    (
        "volumes: ['~/x:/y']",
        {"volumes": [{"type": "bind", "source": "/home/u/x", "target": "/y", "bind": {"create_host_path": True}}]},
    ),
    (
        "volumes: [{type: bind, source: x, target: /y, bind: {propagation: rslave}}]",
        {"volumes": [{"type": "bind", "source": "@/x", "target": "/y", "bind": {"propagation": "rslave"}}]},
    ),
    (
        "volumes: [{type: tmpfs, target: /t, tmpfs: {mode: 01777}}]",
        {"volumes": [{"type": "tmpfs", "target": "/t", "tmpfs": {"mode": 1023}}]},
    ),
    ("secrets: [s, {source: t, target: /run/secrets/s}]", {"secrets": [{"source": "t", "target": "/run/secrets/s"}]}),
    ("configs: [{source: c, mode: 444}]", {"configs": [{"source": "c", "mode": "0674"}]}),
    ("extra_hosts: ['a:', 'b=1,2', 'b:[::1]']", {"extra_hosts": ["a=", "b=1", "b=2", "b=::1"]}),
    (
        "build: {platforms: [p, p], tags: [t, t]}",
        {"build": {"context": "@", "dockerfile": "Dockerfile", "platforms": ["p", "p"], "tags": ["t"]}},
    ),
    (
        "build: {context: github.com/x/y, additional_contexts: ['d=./d']}",
        {"build": {"context": "github.com/x/y", "dockerfile": "Dockerfile", "additional_contexts": {"d": "@/d"}}},
    ),
    (
        "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: ALL}]}}}",
        {"deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "count": -1}]}}}},
    ),
    (
        "blkio_config: {device_read_bps: [{path: /dev/x, rate: 1k}]}",
        {"blkio_config": {"device_read_bps": [{"Path": "/dev/x", "Rate": "1024"}]}},
    ),
    ("ulimits: {nofile: 5, nproc: {soft: 1, hard: 2}}", {"ulimits": {"nofile": 5, "nproc": {"soft": 1, "hard": 2}}}),
    # dependencies that nobody wrote
    (
        "links: ['b:alias']",
        {
            "links": ["b:alias"],
            "depends_on": {"b": {"condition": "service_started", "restart": True, "required": True}},
        },
    ),
    (
        "volumes_from: ['b:ro', 'container:x']",
        {
            "volumes_from": ["b:ro", "container:x"],
            "depends_on": {"b": {"condition": "service_started", "required": True}},
        },
    ),
    (
        "pid: service:b",
        {"pid": "service:b", "depends_on": {"b": {"condition": "service_started", "restart": True, "required": True}}},
    ),
    (
        "cpus: '0.5'\ndeploy: {resources: {limits: {cpus: 0.50}}}",
        {"cpus": 0.5, "deploy": {"resources": {"limits": {"cpus": 0.5}}}},
    ),
    ("scale: 2\ndeploy: {mode: replicated}", {"scale": 2, "deploy": {"mode": "replicated", "replicas": 2}}),
    ("command: ''", {"command": []}),
    ("env_file: [{path: none.env, required: false}]", {}),
    ("x-own: {any: [thing]}", {}),
]


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_empty(child) for key, child in value.items() if child not in ({}, None) or key == "A"}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("attributes", "shown"), TAKEN)
def test_taken(tmp_path: Path, attributes: str, shown: dict[str, Any]) -> None:
    text = json.dumps(canonical(load_text(tmp_path, stack(attributes), run=False).stack)).replace(str(tmp_path), "@")
    service = json.loads(text)["services"]["a"]
    for name in ("image", "networks", *(name for name in ("command", "entrypoint") if service[name] is None)):
        service.pop(name, None)
    assert without_empty(service) == shown


REFUSED = [
    # types
    ("privileged: '1'", "expected true or false"),
    ("use_api_socket: 'true'", "expected true or false"),
    ("depends_on: {b: {condition: service_started, required: 'true'}}", "expected true or false"),
    ("hostname: 2024-01-02", 'write it in quotes: "2024-01-02"'),
    ("user: 1000", "expected a text"),
    ("scale: 1.5", "expected a whole number"),
    ("scale: two", "expected a whole number"),
    ("oom_score_adj: 1001", "from -1000 to 1000"),
    ("mem_limit: ' 1g'", "expected a size"),
    ("mem_limit: 1gbb", "expected a size"),
    ("deploy: {resources: {limits: {memory: 50}}}", "expected a size"),
    ("stop_grace_period: 10", 'a number needs a unit: "10s"'),
    ("labels: {a: .inf}", "expected a text, a number"),
    ("labels: {a: [x]}", "expected a text, a number"),
    ("logging: {options: {compress: true}}", "expected a text or a number"),
    ("expose: [80.5]", "expected a text or a whole number"),
    ("group_add: [1.5]", "expected a text or a whole number"),
    ("build: {provenance: 1}", "expected a text"),
    ("volumes: [{type: tmpfs, target: /t, tmpfs: {size: -1}}]", "expected a size"),
    ("command: [a, 1]", 'write it in quotes: "1"'),
    ("ulimits: {nofile: {soft: 1}}", "both soft and hard"),
    ("secrets: [{source: s, mode: '9'}]", "permission bits"),
    ("hostname:", "an empty value"),
    ("ports:", "an empty value"),
    ("environment: ['A =1']", "ends with a space"),
    ("pull_policy: sometimes", "expected always"),
    ("cgroup: other", "expected host or private"),
    ("container_name: x", "two or more"),
    # lists
    ("security_opt: [a, a]", "listed twice"),
    ("extra_hosts: ['a:1', 'a:1']", "listed twice"),
    ("depends_on: [b, b]", "listed twice"),
    ("networks: [n, n]", "listed twice"),
    ("extra_hosts: ['a:b=c']", "expected NAME=ADDRESS"),
    ("extra_hosts: [nowhere]", "expected NAME=ADDRESS"),
    ("build: {ssh: [key]}", "default, or ID=PATH"),
    ("build: {ssh: default}", "a list of default"),
    ("build: {additional_contexts: [base]}", "NAME=value"),
    ("env_file: [{required: false}]", "path must be given"),
    ("env_file: {path: x}", "expected a path"),
    ("devices: [{target: /dev/x}]", "source must be given"),
    # ports and volumes
    ("ports: ['80:0']", "no port 0"),
    ("ports: [80.5]", "expected a port"),
    ("ports: ['80:']", "port is missing"),
    ("ports: ['8000:80-81']", "differ in length"),
    ("ports: ['localhost:80:80']", "no IP address"),
    ("ports: ['80:80/x']", "protocol 'x'"),
    ("ports: [{published: 80}]", "its target"),
    ("volumes: [':/x']", "nothing between two colons"),
    ("volumes: ['/a:/b:ro:x']", "too many colons"),
    ("volumes: [{source: vol, target: /x}]", "its type must be given"),
    ("volumes: [{type: bind, target: /x}]", "needs a source"),
    # one thing at a place
    ("tmpfs: [/x]\nvolumes: ['vol:/x']", "mounted already, by tmpfs"),
    ("volumes: ['vol:/x']\nconfigs: [{source: c, target: /x}]", "mounted already, by volumes"),
    ("secrets: [s]\nvolumes: ['vol:/run/secrets/s']", "mounted already, by volumes"),
    ("tmpfs: ['/x:size=1m', '/x:mode=700']", "mounted already, by tmpfs"),
    # references and exclusions
    ("depends_on: [bb]", "did you mean 'b'?"),
    ("depends_on: {bb: {condition: service_started, required: false}}", "no service 'bb'"),
    ("depends_on: {b: {}}", "condition must be given"),
    ("depends_on: [a]", "in a circle"),
    ("links: ['b:c:d']", "no service 'b:c:d'"),
    ("network_mode: service:x", "no service 'x'"),
    ("network_mode: host\nnetworks: [n]", "exclude each other"),
    ("networks: [m]", "'m' is not defined"),
    ("volumes: ['nope:/x']", "'nope' is not defined"),
    ("secrets: [nope]", "'nope' is not defined"),
    ("configs: [{target: /x}]", "its source is missing"),
    ("build: {additional_contexts: {x: 'service:b'}}", "has no build"),
    ("build: {additional_contexts: {x: 'service:q'}}", "no service 'q'"),
    ("build: {dockerfile: a, dockerfile_inline: b}", "exclude each other"),
    ("platform: x\nbuild: {platforms: [y]}", "none of build.platforms"),
    ("scale: 2\ncontainer_name: one", "2 containers"),
    ("scale: 0\ndeploy: {replicas: 3}", "says something else"),
    ("cpus: 1\ndeploy: {resources: {limits: {memory: 1g}}}", "must say the same"),
    ("pids_limit: 1\ndeploy: {resources: {limits: {pids: 2}}}", "says something else"),
    ("deploy: {resources: {reservations: {devices: [{driver: x}]}}}", "capabilities must be given"),
    ("gpus: [{count: 1, device_ids: ['0']}]", "exclude each other"),
    ("healthcheck: {test: [curl, x]}", "begins with NONE, CMD or CMD-SHELL"),
    ("develop: {watch: [{path: x, action: sync}]}", "needs a target"),
    ("develop: {watch: [{path: x}]}", "action must be given"),
    ("post_start: [{user: x}]", "command must be given"),
    ("provider: {options: {a: b}}", "type must be given"),
    # variables
    ("hostname: '${X:?say it}'", "say it"),
    ("hostname: '${X'", "no closing"),
    ("hostname: '${X!}'", "may not follow"),
    ('hostname: "${X:-a\\nb}"', "no closing"),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "part"), REFUSED)
def test_refused(tmp_path: Path, attributes: str, part: str) -> None:
    errors = errors_of(tmp_path, stack(attributes), run=False)
    assert errors
    said = f"{errors[0].message} ({errors[0].hint})"
    assert part in said
    assert errors[0].where is not None


WHOLE_REFUSED = [
    ("{}", "it has no services"),
    ("services:", "an empty value"),
    ("services: {a: }", "an empty value"),
    ("services: {a: {}}", "neither an image nor a build"),
    ("services: {'a b': {image: x}}", "may hold only"),
    ("services: {1: {image: x}}", "is not a text"),
    ("version: 3\nservices: {a: {image: x}}", "expected a text"),
    ("version:\nservices: {a: {image: x}}", "an empty value"),
    ("name: 5\nservices: {a: {image: x}}", "expected a text"),
    ("volumes: {v: {external: true, driver: d}}\nservices: {a: {image: x}}", "made elsewhere"),
    ("secrets: {s: {file: a, environment: b}}\nservices: {a: {image: x}}", "exclude each other"),
    ("secrets: {s: {external: false}}\nservices: {a: {image: x}}", "must be given"),
    ("configs: {c: {environment: A, content: b}}\nservices: {a: {image: x}}", "exclude each other"),
    ("configs: {c: {}}\nservices: {a: {image: x}}", "must be given"),
    ("networks: {n: {driver_opts: {icc: true}}}\nservices: {a: {image: x}}", "expected a text or a number"),
    ("x-a: &a {image: x}\nservices:\n  a:\n    <<: *a\n    <<: *a", "the key '<<' is written twice"),
    ("services: {a: {image: x, <<: }}", "a merge key"),
]


@pytest.mark.parametrize(("text", "part"), WHOLE_REFUSED)
def test_refused_as_a_whole(tmp_path: Path, text: str, part: str) -> None:
    errors = errors_of(tmp_path, text, run=False)
    assert errors
    assert part in errors[0].message


OVERRIDES = [
    # an empty value in a later file means nothing
    ("hostname: h", "hostname:", {"hostname": "h"}),
    ("ports: ['80']", "ports:", {"ports": [{"mode": "ingress", "target": 80, "protocol": "tcp"}]}),
    ("labels: {a: 1}", "labels:", {"labels": {"a": "1"}}),
    ("labels: {a: 1}", "labels: {a: }", {"labels": {"a": ""}}),
    ("command: x", "command:", {}),
    # lists that are no sets
    (
        "build: {cache_from: [a]}",
        "build: {cache_from: [a]}",
        {"build": {"context": "@", "dockerfile": "Dockerfile", "cache_from": ["a", "a"]}},
    ),
    ("extra_hosts: ['a:1']", "extra_hosts: ['a:1', 'a:2']", {"extra_hosts": ["a=1", "a=2"]}),
    (
        "devices: [/dev/a]",
        "devices: ['/dev/b:/dev/a']",
        {"devices": [{"source": "/dev/b", "target": "/dev/a", "permissions": "rwm"}]},
    ),
    ("ulimits: {a: {soft: 1, hard: 2}}", "ulimits: {a: 3}", {"ulimits": {"a": 3}}),
    ("logging: {driver: x, options: {a: 1}}", "logging: {driver: y}", {"logging": {"driver": "y"}}),
]


@pytest.mark.parametrize(("base", "over", "shown"), OVERRIDES)
def test_overrides(tmp_path: Path, base: str, over: str, shown: dict[str, Any]) -> None:
    write(tmp_path, a__yaml=stack(base), b__yaml=f"services:\n  a:\n    {over}\n")
    text = json.dumps(canonical(load_in(tmp_path, "a.yaml", "b.yaml", run=False).stack)).replace(str(tmp_path), "@")
    service = json.loads(text)["services"]["a"]
    for name in ("image", "networks", "entrypoint"):
        service.pop(name, None)
    assert without_empty(service) == shown


TWICE = {
    "security_opt": "no-new-privileges:true",
    "group_add": "x",
    "device_cgroup_rules": "c 1:3 mr",
    "external_links": "x",
}


@pytest.mark.parametrize("attribute", TWICE)
def test_what_two_files_list_is_there_twice(tmp_path: Path, attribute: str) -> None:
    value = TWICE[attribute]
    text = f"services:\n  a:\n    image: i\n    {attribute}: ['{value}']\n"
    write(tmp_path, a__yaml=text, b__yaml=text)
    with pytest.raises(StackFileError, match=re.escape(f"'{value}' is listed twice; the first one is in ")) as caught:
        load_in(tmp_path, "a.yaml", "b.yaml")
    assert "a.yaml:4" in caught.value.message


def test_each_file_must_be_whole_together_with_those_before_it(tmp_path: Path) -> None:
    first = "services:\n  a: {image: i, depends_on: {b: {restart: true}}}\n  b: {image: i}\n"
    write(tmp_path, a__yaml=first, b__yaml="services: {a: {depends_on: {b: {condition: service_started}}}}\n")
    with pytest.raises(StackFileError, match="condition must be given"):
        load_in(tmp_path, "a.yaml", "b.yaml")
    assert load_in(tmp_path, "b.yaml", "a.yaml").stack.services["a"].depends_on["b"].restart


def test_names_without_a_value_in_an_env_file_say_nothing(tmp_path: Path) -> None:
    write(tmp_path, a__env="A=1\nB=2\n", b__env="A\nC\n")
    loaded = load_text(tmp_path, "services: {a: {image: i, env_file: [a.env, b.env]}}")
    shown = canonical(loaded.stack)["services"]["a"]["environment"]
    assert {name: value for name, value in shown.items() if value is not None} == {"A": "1", "B": "2"}


def test_directories_and_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(StackFileError, match="it is a directory") as caught:
        load_in(tmp_path, "d")
    assert "d/compose.yaml" in caught.value.hint
    with pytest.raises(StackFileError, match="there is no such file"):
        load_in(tmp_path, "none.yaml")
