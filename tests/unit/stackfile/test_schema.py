"""The JSON Schema takes what the loader takes, and refuses what JSON Schema can refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from stackfile_support import errors_of
from test_mistakes import blocks

from stackup.stackfile.describe import attributes, descriptions
from stackup.stackfile.nodes import RESET, Node, Source
from stackup.stackfile.problems import Problems
from stackup.stackfile.reference import schema_text
from stackup.stackfile.yamltree import read_documents

SCHEMA = json.loads(schema_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
ROOT = Path(__file__).parents[3]
CASES = Path(os.environ.get("STACKUP_COMPOSE_CASES", ROOT.parent / "shared" / "cases"))
FILES = ("compose-cases.jsonl", "stacks.jsonl")


def plain(node: Node) -> Any:
    """As an editor sees it: what ``!reset`` stands on means nothing."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items() if child.tag != RESET}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value if child.tag != RESET]
    return node.value


def documents(text: str) -> list[Any]:
    return [plain(node) for node in read_documents(Source("f", text, "/"), Problems()) if node.value is not None]


def complaints(text: str) -> list[str]:
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:150]}"
        for document in documents(text)
        for error in VALIDATOR.iter_errors(document)
    ]


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    service = SCHEMA["definitions"]["service"]["properties"]
    assert service["image"]["description"]
    assert service["restart"]["default"] == "no"
    assert service["x-stackup"]["$ref"] == "#/definitions/x-stackup_of_a_service"


@pytest.mark.parametrize("name", ["default", "examples"])
def test_defaults_and_examples_are_valid(name: str) -> None:
    wrong = []
    for owner in (SCHEMA, *SCHEMA["definitions"].values()):
        for attribute, described in owner["properties"].items():
            values = described.get(name, [] if name == "examples" else None)
            for value in values if name == "examples" else [values] if name in described else []:
                wanted = {**described, "definitions": SCHEMA["definitions"]}
                if list(jsonschema.Draft7Validator(wanted).iter_errors(value)):
                    wrong.append((attribute, value))
    assert wrong == []
    assert sum(bool(about.examples) for about in descriptions().values()) > 100


def test_the_schema_has_every_attribute() -> None:
    names = {name for owner in (SCHEMA, *SCHEMA["definitions"].values()) for name in owner["properties"]}
    assert {item.path[-1] for item in attributes()} == names


def test_examples_of_the_repository() -> None:
    found = list(ROOT.glob("examples/*/compose*.yaml"))
    assert found
    assert {str(path): complaints(path.read_text()) for path in found if complaints(path.read_text())} == {}


@pytest.mark.parametrize(
    "text",
    [
        "services: {web: {imagee: a}}",
        "services: {web: {image: 1.5}}",
        "services: {web: {image: a, ports: '80'}}",
        "services: {web: {image: a, ports: [[80]]}}",
        "services: {web: {image: a, volumes: [{source: x}]}}",
        "services: {web: {image: a, volumes: [{type: bindd, target: /x}]}}",
        "services: {web: {image: a, depends_on: {db: {condition: healthy}}}}",
        "services: {web: {image: a, depends_on: {db: {}}}}",
        "services: {web: {image: a, privileged: perhaps}}",
        "services: {web: {image: a, healthcheck: {interval: 5}}}",
        "services: {web: {image: a, mem_limit: much}}",
        "services: {web: {image: a, cap_add: NET_ADMIN}}",
        "services: {web: {image: a, security_opt: [a, a]}}",
        "services: {web: {image: a, oom_score_adj: 5000}}",
        "services: {web: {image: a, cgroup: shared}}",
        "services: {'we b': {image: a}}",
        "services: [web]",
        "networks: {n: {ipam: {config: {subnet: x}}}}",
        "networks: {n: {internal: perhaps}}",
        "secrets: {s: {fil: x}}",
        "x-stackup: {ready: {tcp: 1}}",
        "services: {web: {image: a, x-stackup: {ready: {tcp: 1, http: 80}}}}",
        "services: {web: {image: a, x-stackup: {restart_when: sick}}}",
        "services: {web: {image: a, x-stackup: {backoff: {factor: many, foo: 1}}}}",
        "volumes: {v: {x-stackup: {}}}",
        "services: {web: {image: a, restart: allways}}",
        "services: {web: {image: a, ports: ['8080:http']}}",
        "services: {web: {image: a, ports: ['53:53/dns']}}",
        "services: {web: {image: a, healthcheck: {test: [curl, x]}}}",
        "services: {web: {build: {dockerfile: a, dockerfile_inline: b}}}",
        "services: {web: {image: a, volumes: [{type: bind, target: /x}]}}",
        "configs: {c: {file: a, content: b}}",
        "secrets: {s: {file: a, environment: B}}",
        "volumes: {v: {external: true, driver: local}}",
    ],
)
def test_refused(text: str) -> None:
    assert complaints(text)


@pytest.mark.parametrize(
    "text",
    [
        "services: {web: {image: a, privileged: '${P}', mem_limit: '${M}', scale: '${N:-2}', cgroup: '${C}'}}",
        "services: {web: {image: a, ports: [80, '80:80', {target: 80, published: 8080}], x-own: [1]}}",
        "services: {web: {image: a, environment: [A=1, B], labels: {a: 1, b: true, c: }}}",
        "services: {web: {image: a, ulimits: {nofile: 10, nproc: {soft: 1, hard: 2}}, tmpfs: /x, dns: 1.1.1.1}}",
        "services: {web: {image: a, x-stackup: {ready: {http: 80}, schedule: '@daily', restart_when: unhealthy}}}",
        "services: {web: {build: ., gpus: all, develop: , networks: {a: , b: {aliases: [c]}}, command: }}",
        "services: {web: {image: a, ports: ['[::1]:80:80/TCP', '8000-8010:80', '${P}'], restart: on-failure:3}}",
        "services: {web: {image: a, healthcheck: {test: []}, volumes: [{type: bind, source: /a, target: /x}]}}",
        "x-stackup: {allow: docker.sock}\nx-own: 1\nservices: {}",
    ],
)
def test_accepted(text: str) -> None:
    assert complaints(text) == []


WRONG = [
    "gpus: none",
    "gpus: 1",
    "cpus: two",
    "cpus: ''",
    "volumes: ['a:b:c:d:e']",
    "deploy: {resources: {limits: {cpus: many}}}",
    "ports: [99999]",
    "ports: [0]",
    "ports: ['80:80:80:80']",
    "ports: ['99999:80']",
    "ports: ['80:0']",
    "ports: ['1.2.3:80:80']",
    "env_file: {path: a}",
    "label_file: {path: a}",
    "volumes: ['a:/b::']",
    "volumes: [':/x']",
    "volumes: ['data:/b:ro:x']",
    "network_mode: host\n    networks: [default]",
    "network_mode: hsot",
    "ipc: shared",
    "uts: private",
    "mac_address: 02:42",
    "networks: {default: {mac_address: x}}",
    "networks: {default: {ipv4_address: x}}",
    "restart: alway",
    "secrets: [{target: x}]",
    "configs: [{target: x}]",
    "develop: {watch: [{path: ., action: sync}]}",
    "x-stackup: {ready: {}}",
    "x-stackup: {backoff: {factor: 0.5}}",
    "x-stackup: {schedule: foo}",
    "x-stackup: {schedule: '* * * *'}",
    "x-stackup: {schedule: {cron: '@dayly'}}",
    "x-stackup: {schedule: {cron: '* * * * *', every: 1m}}",
]
RIGHT = [
    "cpus: '0.5'",
    "cpus: 1e-1",
    "gpus: all",
    "volumes: ['C:\\a:/b:ro']",
    "ports: [80, '80', '80-90', '1.2.3.4::80', '[::1]:80:80/TCP', '::1:80:80', ':80', '8000-8010:80/udp']",
    "env_file: [a, {path: b, required: false}]",
    "env_file: a",
    "volumes: ['/x', 'C:/a:/b:ro', 'data:/d:nocopy', './a:/c', '${A}:/e', '~/f:/f:ro,z']",
    "network_mode: service:other",
    "network_mode: bridge",
    "network_mode: ''\n    networks: [default]",
    "ipc: container:x",
    "restart: on-failure:3",
    "x-stackup: {schedule: '*/5 0-6,22 1 jan MON-fri'}",
    "x-stackup: {schedule: '@Daily'}",
    "secrets: [s]\nsecrets: {s: {external: true}}",
]
SECTIONS = [
    ("secrets: {a: {}}", False),
    ("secrets: {a: {name: b}}", False),
    ("secrets: {a: {environment: B}}", True),
    ("configs: {a: {}}", False),
    ("configs: {a: {content: ''}}", True),
]


def judged(tmp_path: Path, text: str) -> tuple[bool, bool]:
    """Whether the loader and the schema take it."""
    for name in ("a", "b"):
        (tmp_path / name).touch()
    return not errors_of(tmp_path, text, all_resources=True), not complaints(text)


@pytest.mark.parametrize("attribute", WRONG)
def test_loader_and_schema_both_refuse(tmp_path: Path, attribute: str) -> None:
    assert judged(tmp_path, f"services:\n  other: {{image: o}}\n  web:\n    image: i\n    {attribute}\n") == (
        False,
        False,
    )


@pytest.mark.parametrize("attribute", RIGHT)
def test_loader_and_schema_both_take(tmp_path: Path, attribute: str) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch()
    text = f"services:\n  other: {{image: o}}\n  web:\n    image: i\n    {attribute}\n"
    text += "volumes: {data: {}}\n" * ("data:" in text)
    errors = [item.message for item in errors_of(tmp_path, text, environment={"A": "/a"})]
    assert [item for item in errors if "there is no store of external ones" not in item] == []
    assert complaints(text) == []


@pytest.mark.parametrize(("section", "fine"), SECTIONS)
def test_loader_and_schema_agree_on_resources(tmp_path: Path, section: str, fine: bool) -> None:
    assert judged(tmp_path, f"services: {{web: {{image: i}}}}\n{section}\n") == (fine, fine)


def test_our_own_mistakes_that_a_schema_can_see() -> None:
    """Of the files whose errors are all about the form of a value, most must be refused by the schema, too."""
    formal = [text for text, answer in blocks() if ": expected " in answer or "has no such attribute" in answer]
    unseen = [text for text in formal if documents(text) and not complaints(text)]
    assert len(unseen) <= len(formal) * 0.15, "\n".join(unseen)


@pytest.mark.skipif(
    not all((CASES / name).exists() for name in FILES),
    reason=f"NO COMPOSE CASES in {CASES}: the schema is NOT checked against real stacks",
)
@pytest.mark.parametrize("name", FILES)
def test_recorded_stacks(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong: list[str] = []
    checked = refused = seen = 0
    for line in (CASES / name).read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        stacks = case["args"] or [path for path in case["files"] if path.startswith(("compose.", "docker-compose."))]
        found = [item for path in stacks if path in case["files"] for item in complaints(case["files"][path])]
        if case["expect"]["accept"]:
            checked += 1
            wrong += [f"{case['id']}: {item}" for item in found[:1]]
        else:
            refused += 1
            seen += bool(found)
    with capsys.disabled():
        print(f"\nschema: {checked} accepted stacks of {name}, {seen} of {refused} refusals seen by the schema alone")
    assert wrong == []
