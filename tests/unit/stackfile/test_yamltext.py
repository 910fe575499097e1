"""What ``config`` prints reads back as the same data, in Compose's YAML and in older ones."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stackup.stackfile.nodes import Source, plain
from stackup.stackfile.problems import Problems
from stackup.stackfile.yamltext import as_yaml
from stackup.stackfile.yamltree import read_documents


def again(text: str) -> Any:
    problems = Problems()
    (document,) = read_documents(Source("f", text, "/"), problems)
    assert not problems.errors, problems.errors[0].message
    return plain(document)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("8080", '"8080"'),
        ("yes", '"yes"'),
        ("22:22", '"22:22"'),
        ("0o17", '"0o17"'),
        ("2024-01-01", '"2024-01-01"'),
        ("", '""'),
        ("a: b", "'a: b'"),
        ("it's # here", "'it''s # here'"),
        ("*alias", "'*alias'"),
        ("-x", "-x"),
        ("- x", "'- x'"),
        ("$$HOME/x", "$$HOME/x"),
        ("one\ntwo\n", "|\n  one\n  two"),
        ("one\ntwo", "|-\n  one\n  two"),
        ("tab\there", '"tab\\there"'),
        ("ü", "ü"),
        (None, "null"),
        (True, "true"),
        (0.5, "0.5"),
        ({}, "{}"),
        ([], "[]"),
    ],
)
def test_single_values(value: object, text: str) -> None:
    assert as_yaml({"k": value}) == f"k: {text}\n"


def test_layout() -> None:
    data = {"services": {"web": {"command": ["a", "b"], "ports": [{"mode": "ingress", "target": 80}], "x": [["v"]]}}}
    assert as_yaml(data) == (
        "services:\n  web:\n    command:\n      - a\n      - b\n    ports:\n      - mode: ingress\n        target: 80\n"
        "    x:\n      - - v\n"
    )


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["on", "<<", "~", "=", "?", ":", "a:", "1_0", ".5", "0x1f", "+1", "1e3", "|", "\n", " a", "a\n\n", "%x", "\x85"]
)
DATA = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**62), 2**62) | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)


@settings(max_examples=300, deadline=None)
@given(DATA.filter(bool))
def test_reads_back(data: dict[str, Any]) -> None:
    text = as_yaml(data)
    assert again(text) == data
    assert yaml.safe_load(text) == data
