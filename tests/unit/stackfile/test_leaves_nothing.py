"""A load leaves no circles behind that only the garbage collector could take away."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from stackfile_support import errors_of

from stackup.stackfile.nodes import Node

LEAVES_NOTHING = {
    "a stack": "services: {web: {image: '${A:-b}', depends_on: [db]}, db: {image: c, links: [d]}, d: {image: e}}",
    "an unknown key": "services: {web: {image: a, prots: []}}",
    "no YAML": "services: [",
    "a variable": "services: {web: {image: '${A'}}",
    "a circle": "services: {a: {image: a, depends_on: [b]}, b: {image: b, depends_on: [a]}}",
    "a reference": "services: {web: {image: a, networks: [n], extends: {service: s}, env_file: none}}",
}


@pytest.mark.parametrize("name", LEAVES_NOTHING)
def test_nothing_is_left_for_the_collector(tmp_path: Path, name: str) -> None:
    """Loading runs without the collector: what is no longer needed goes away by itself, also after an error."""
    errors_of(tmp_path, LEAVES_NOTHING[name])  # what is made once and kept
    gc.collect()
    gc.disable()
    try:
        before = nodes()
        errors_of(tmp_path, LEAVES_NOTHING[name])
        assert nodes() == before
    finally:
        gc.enable()


def nodes() -> int:
    return sum(type(item) is Node for item in gc.get_objects())
