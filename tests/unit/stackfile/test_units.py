"""Durations, sizes, and Go's way to write numbers."""

from __future__ import annotations

import pytest

from stackup.stackfile.shellwords import split
from stackup.stackfile.units import format_duration, go_text, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds", "printed"),
    [
        ("10s", 10, "10s"),
        ("1m30s", 90, "1m30s"),
        ("90s", 90, "1m30s"),
        ("15m", 900, "15m0s"),
        ("1h", 3600, "1h0m0s"),
        ("500ms", 0.5, "500ms"),
        ("1.5s", 1.5, "1.5s"),
        ("10us", 1e-5, "10µs"),
        ("2d", 172800, "48h0m0s"),
        ("0", 0, "0s"),
    ],
)
def test_durations(text: str, seconds: float, printed: str) -> None:
    parsed = parse_duration(text)
    assert parsed == pytest.approx(seconds)
    assert parsed is not None
    assert format_duration(parsed) == printed


@pytest.mark.parametrize("text", ["", "10", "s", "1x", "1 s", "--1s"])
def test_no_durations(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1b", 1),
        ("50m", 50 << 20),
        ("50M", 50 << 20),
        ("1.5gb", 3 << 29),
        ("64 KiB", 1 << 16),
        ("2t", 2 << 40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "1 0m"])
def test_no_sizes(text: str) -> None:
    assert parse_size(text) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.5, "1.5"),
        (1.0, "1"),
        (1e6, "1e+06"),
        (1234567.0, "1.234567e+06"),
        (100000.0, "100000"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (True, "true"),
        (None, ""),
        (float("inf"), "+Inf"),
    ],
)
def test_numbers_as_go_prints_them(value: object, text: str) -> None:
    assert go_text(value) == text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a b", ["a", "b"]),
        ("a 'b c' \"d e\"", ["a", "b c", "d e"]),
        ('a "b\\"c"', ["a", 'b"c']),
        ("a\\ b", ["a b"]),
        ("a ''", ["a", ""]),
        ("", []),
        ("sh -c 'a; b'", ["sh", "-c", "a; b"]),
    ],
)
def test_command_lines(line: str, words: list[str]) -> None:
    assert split(line) == (words, "")


def test_command_lines_end_at_operators_as_in_compose() -> None:
    assert split("echo a; echo b") == (["echo", "a"], "; echo b")
    assert split("a 2>&1") == (["a"], ">&1")


@pytest.mark.parametrize("line", ["a 'b", 'a "b', "a \\"])
def test_open_quotes(line: str) -> None:
    assert split(line) is None
