"""YAML as Compose reads it, and what is refused."""

from __future__ import annotations

import itertools

import pytest

from stackup.stackfile.nodes import Source, find, plain
from stackup.stackfile.problems import Problems
from stackup.stackfile.yamltree import read_documents


def read(text: str) -> tuple[list[object], list[str]]:
    problems = Problems()
    documents = read_documents(Source("f.yaml", text, "/"), problems)
    return [plain(item) for item in documents], [f"{error.where}: {error.message}" for error in problems.errors]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:22", "22:22"),
        ("yes", "yes"),
        ("on", "on"),
        ("0444", 292),
        ("0o444", 292),
        ("0x1F", 31),
        ("0b11", 3),
        ("1_000", 1000),
        ("08", 8.0),
        ("-5", -5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("~", None),
        ("", None),
        ("Null", None),
        ("TRUE", True),
        ("2024-01-01", "2024-01-01T00:00:00Z"),
        ("2024-1-2 3:04:05.60", "2024-01-02T03:04:05.6Z"),
        ("2024-02-31", "2024-02-31"),
        ('"0444"', "0444"),
        ("!!str 1", "1"),
        ("=", "="),
        ("1.2.3", "1.2.3"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    assert read(f"a: {text}\n") == ([{"a": value}], [])


def test_keys_that_look_like_booleans_are_texts() -> None:
    assert read("on: 1\nyes: 2\n") == ([{"on": 1, "yes": 2}], [])


def test_every_value_has_its_place() -> None:
    (document,) = read_documents(Source("f.yaml", "a:\n  - b\n  - c: 1\n", "/"), Problems())
    place = find(document, "a.1.c")
    assert place is not None
    assert (place.line, place.column, place.key_line, place.key_column) == (3, 8, 3, 5)


def test_merge_keys_keep_what_is_written() -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 3\n"
    assert read(text)[0][0]["z"] == {"a": 3, "b": 1, "c": 2}  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: 1\na: 2\n",
            "f.yaml:2:1: cannot read f.yaml: the key 'a' is written twice here; the first one is in line 1",
        ),
        ("1: a\n", "f.yaml:1:1: cannot read f.yaml: the key 1 is not a text"),
        ("[a]: b\n", "f.yaml:1:1: cannot read f.yaml: a key must be a text, not a list or mapping"),
        ("a: &a\n  b: *a\n", "f.yaml:1:4: cannot read f.yaml: an alias refers to a value that contains it"),
        ("a: !x 1\n", "f.yaml:1:4: cannot read f.yaml: the tag !x is unknown; Compose has !reset and !override"),
        (
            "a:\n\t- b\n",
            "f.yaml:2:1: cannot read f.yaml as YAML: a tab is used for indentation; YAML allows spaces only",
        ),
        ("a: b: c\n", "f.yaml:1:5: cannot read f.yaml as YAML: a ': ' is not allowed here"),
        ("a: *b\n", "f.yaml:1:4: cannot read f.yaml as YAML: the alias *b has no anchor &b before it"),
        ("a: \x07\n", "f.yaml:1:4: cannot read f.yaml as YAML: character U+0007 is not allowed"),
        ("a: \x00\n", "f.yaml:1:4: cannot read f.yaml: it holds a NUL byte, so it is no text file"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    assert read(text)[1] == [message]


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 50_000 + "a"])
def test_deep_nesting_is_refused_before_libyaml_recurses(text: str) -> None:
    assert "nested deeper" in read(text)[1][0]


def test_an_anchor_may_be_defined_anew() -> None:
    """As yaml.v3 has it: an alias means the last one before it."""
    documents, problems = read("a: &x 1\nb: *x\nc: &x [2]\nd: *x\n")
    assert not problems
    assert documents == [{"a": 1, "b": 1, "c": [2], "d": [2]}]


def test_alias_bombs_are_refused_in_bounded_time() -> None:
    names = "abcdefghij"
    lines = [f"a: &a [{', '.join(['x'] * 9)}]"]
    lines += [f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in itertools.pairwise(names)]
    assert "its aliases expand to more than 400,000 values" in read("\n".join(lines))[1][0]


def test_all_mistakes_of_a_file_are_found() -> None:
    assert len(read("a: 1\na: 2\nb: {c: 1, c: 2}\n3: x\n")[1]) == 3


@pytest.mark.parametrize("text", ["\ufeffa: 1\n", "a: 1\r\nb: 2\r\n", "%YAML 1.2\n---\na: 1\n"])
def test_other_ways_to_write_a_file(text: str) -> None:
    documents, errors = read(text)
    assert not errors
    assert documents[0]["a"] == 1  # type: ignore[index]


def test_several_documents() -> None:
    assert read("a: 1\n---\nb: 2\n")[0] == [{"a": 1}, {"b": 2}]
