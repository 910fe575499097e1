"""Whatever a file holds: a Stack or a StackFileError, in bounded time, without heavy imports."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackup.base.errors import StackFileError, StackupError
from stackup.model.service import Service
from stackup.stackfile import LoadRequest, canonical, load
from stackup.stackfile.grammar_service import SERVICE_FIELDS

ANY = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["80:80", "a:/b", "${X:-y}", "${X", "1m", "1g", "service:a", "!reset []", "a=b", "~", "/x:/y:ro"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["source", "target", "type", "name", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def try_load(directory: Path, data: bytes) -> None:
    (directory / "compose.yaml").write_bytes(data)
    try:
        canonical(load(LoadRequest(directory, environment={}, profiles=("*",))).stack)
    except StackupError as error:
        assert error.message
        assert all(item.message for item in error.details)


@ANY
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_garbage(tmp_path: Path, data: bytes) -> None:
    try_load(tmp_path, data)


@ANY
@given(st.dictionaries(st.sampled_from(sorted(SERVICE_FIELDS)), VALUES, max_size=4))
def test_wrong_types_everywhere(tmp_path: Path, service: dict[str, object]) -> None:
    import yaml

    try_load(tmp_path, yaml.safe_dump({"services": {"a": {"image": "i", **service}}}, allow_unicode=True).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\x00",
        b"a: \x00",
        b"services: {a: \xe9}",
        b"#" * (5 << 20),
        b"a:\r\n  - b\r\n",
        b"\xef\xbb\xbfservices: {a: {image: b}}",
    ],
)
def test_odd_bytes(tmp_path: Path, data: bytes) -> None:
    try_load(tmp_path, data)


def test_directories_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").mkdir()
    for files in ((), ("compose.yaml",), ("no.yaml",), ("a\0b",)):
        with pytest.raises(StackFileError):
            load(LoadRequest(tmp_path, files, environment={}))


def test_a_cycle_of_many_services_is_found(tmp_path: Path) -> None:
    lines = ["services:"] + [f"  s{n}: {{image: i, depends_on: [s{(n + 1) % 3000}]}}" for n in range(3000)]
    (tmp_path / "compose.yaml").write_text("\n".join(lines))
    with pytest.raises(StackFileError, match="in a circle"):
        load(LoadRequest(tmp_path, environment={}))


def test_loading_leaves_the_garbage_collector_on(tmp_path: Path) -> None:
    service = "image: a, ports: ['{n}:80'], environment: {{A: b, C: d}}, volumes: ['./x:/x'], healthcheck: {{test: a}}"
    lines = ["services:"] + [f"  s{n}: {{{service.format(n=8000 + n)}}}" for n in range(50)]
    (tmp_path / "compose.yaml").write_text("\n".join(lines))
    assert len(load(LoadRequest(tmp_path, environment={})).stack.services) == 50
    assert gc.isenabled()


def test_loading_needs_neither_networkx_nor_pyroute2() -> None:
    heavy = ("networkx", "pyroute2", "typer")
    code = f"import sys, stackup.stackfile; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_grammar_and_model_know_the_same_attributes() -> None:
    model = set(Service.model_fields) - {"name", "extensions", "stackup"}
    assert model == set(SERVICE_FIELDS) - {"extends", "x-stackup"}


@pytest.mark.parametrize(
    "text",
    [
        "include: [{path: [null]}]\nservices: {}",
        "include: [{path: a.yaml, env_file: [null]}]\nservices: {}",
        "services: {a: {image: i, shm_size: .nan, cpus: .inf, scale: .nan}}",
        "services: {a: {image: i, links: [null], volumes_from: [1], env_file: [null], label_file: [[]]}}",
        "services: {a: {image: i, extends: {service: a, file: [x]}}}",
    ],
)
def test_what_fuzzing_found(tmp_path: Path, text: str) -> None:
    try_load(tmp_path, text.encode())
