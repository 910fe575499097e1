"""Circles of every kind of edge, and the place of a reference: the key of a mapping, the item of a list."""

from __future__ import annotations

from pathlib import Path

import pytest
from stackfile_support import errors_of, load_in, load_text, write

from stackup.base.errors import StackFileError


def told(errors: list[StackFileError]) -> list[str]:
    return [f"{error.where.line}:{error.where.column} {error.message}" for error in errors if error.where]


BUILT = "{build: {context: ., additional_contexts: {base: 'service:%s'}}}"


def test_a_circle_of_builds_is_told_line_by_line(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, f"services:\n  a: {BUILT % 'b'}\n  b: {BUILT % 'a'}\n")
    assert error.message == ("cannot build the services: they are built from each other in a circle, a -> b -> a")
    assert [line[:36] for line in error.hint.split("\n")] == [
        "a is built from b: compose.yaml:2:55",
        "b is built from a: compose.yaml:3:55",
    ]


def test_a_service_built_from_itself(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, f"services:\n  a: {BUILT % 'a'}\n")
    assert told([error]) == ["2:55 cannot build the services: they are built from each other in a circle, a -> a"]


def test_a_service_may_depend_on_one_that_is_built_from_it(tmp_path: Path) -> None:
    text = f"services:\n  a: {{build: ., depends_on: [b]}}\n  b: {BUILT % 'a'}\n"
    assert load_text(tmp_path, text)


@pytest.mark.parametrize(
    "edge",
    [
        "links: [a]",
        "links: ['a:alias']",
        "volumes_from: ['a:ro']",
        "network_mode: service:a",
        "ipc: service:a",
        "pid: service:a",
        "depends_on: {a: {condition: service_healthy, required: false}}",
    ],
)
def test_every_edge_makes_a_circle(tmp_path: Path, edge: str) -> None:
    (error,) = errors_of(tmp_path, f"services:\n  a: {{image: x, depends_on: [b]}}\n  b: {{image: x, {edge}}}\n")
    assert error.message.endswith("in a circle, a -> b -> a")
    (error,) = errors_of(tmp_path, f"services:\n  a: {{image: x, {edge}}}\n")
    assert error.message.endswith("in a circle, a -> a")


BLOCK = """\
services:
  a:
    image: x
    depends_on:
      b:
        condition: service_started
"""


def test_an_absent_service_is_told_at_its_key(tmp_path: Path) -> None:
    assert told(errors_of(tmp_path, BLOCK)) == ["5:7 cannot use services.a.depends_on: there is no service 'b'"]


def test_a_service_of_another_profile_is_told_at_its_key(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, f"{BLOCK}  b: {{image: x, profiles: [p]}}\n")
    assert told([error]) == ["5:7 cannot use services.a.depends_on: the service 'b' is not part of the active profiles"]


def test_what_extends_brings_is_told_at_its_key(tmp_path: Path) -> None:
    write(tmp_path, other__yaml=BLOCK)
    (error,) = errors_of(tmp_path, "services:\n  c: {extends: {file: other.yaml, service: a}}\n")
    assert str(error.where).endswith("other.yaml:5:7")


def test_a_circle_in_block_style_shows_its_keys(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, f"{BLOCK}  b:\n    image: x\n    network_mode:\n      service:a\n")
    assert error.hint.split("\n") == [
        "a needs b: compose.yaml:5:7: b:",
        "b needs a: compose.yaml:10:7: service:a",
    ]
    assert error.snippet == "      b:\n      ^"


def test_content_that_came_from_a_variable_is_not_written(tmp_path: Path) -> None:
    text = "services: {a: {image: x}}\nconfigs: {c: {environment: V}}\n"
    write(tmp_path, compose__yaml=text)
    assert load_in(tmp_path, environment={"V": "1"}, all_resources=True).stack.configs["c"].content == "1"
    write(tmp_path, compose__yaml=text.replace("environment: V", "environment: V, content: x"))
    with pytest.raises(StackFileError, match="environment and content exclude each other"):
        load_in(tmp_path, environment={"V": "1"})


def test_networks_are_looked_for_beside_a_mode(tmp_path: Path) -> None:
    text = "services:\n  a: {image: x, network_mode: host, networks: [foo]}\n"
    assert [message.split(": ", 1)[1] for message in told(errors_of(tmp_path, text))] == [
        "network_mode and networks exclude each other",
        "the network 'foo' is not defined",
    ]
