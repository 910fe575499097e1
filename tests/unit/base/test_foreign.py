"""What somebody else has named, on its way to a terminal."""

from __future__ import annotations

import pytest

from stackup.base.foreign import LONGEST, lines, shown


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("usr/bin/ä b", "usr/bin/ä b"),
        ("\x1b]0;owned\x07x", r"\x1b]0;owned\x07x"),
        ("a\nerror: b\r", r"a\nerror: b\r"),
        ("a\0b", r"a\x00b"),
        ("\u202egpj.sh", r"\u202egpj.sh"),
        ("\x9b31m", r"\x9b31m"),
        (b"caf\xe9", r"caf\xe9"),
        (b"caf\xc3\xa9", "café"),
        ("\ud800", r"\ud800"),
        ("", ""),
    ],
)
def test_nothing_that_moves_a_terminal(raw: str | bytes, safe: str) -> None:
    assert shown(raw) == safe


def test_long_ones_keep_both_ends() -> None:
    text = shown("begin/" + "d/" * 3000 + "end")
    assert len(text) == LONGEST
    assert text.startswith("begin/") and text.endswith("/end") and "…" in text
    assert shown("x" * 5000, None) == "x" * 5000


def test_texts_of_several_lines() -> None:
    assert lines("one\n\ttwo\x1b[2J") == "one\n\ttwo\\x1b[2J"
    assert lines("one\ntwo") == "one\ntwo"
