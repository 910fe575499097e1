"""Control sequences in what a command prints."""

from __future__ import annotations

import pytest

from stackup.base.escapes import harmless


@pytest.mark.parametrize(
    ("text", "plain", "coloured"),
    [
        ("a\tb\nc ☃", "a\tb\nc ☃", "a\tb\nc ☃"),
        ("\x1b[1;31mred\x1b[0m x", "red x", "\x1b[1;31mred\x1b[0m x"),
        ("\x1b[31mred\nnext\x1b[m", "red\nnext", "\x1b[31mred\x1b[0m\nnext\x1b[m"),
        ("\x1b[2J\x1b[H\x1b[?25lx", "x", "x"), ("\x1b]0;title\x07x", "x", "x"),
        ("\x1b]8;;http://a\x1b\\link", "link", "link"),
        ("\x1b]0;open\nnext", "\nnext", "\nnext"), ("\x1bPq#\x1b\\x", "x", "x"), ("\x1bcx\x1b(B", "x", "x"),
        ("\x9b2Jx", "2Jx", "2Jx"), ("a\x08\x07\x7fb\r", "ab", "ab"), ("end\x1b", "end", "end"),
    ],
)  # fmt: skip
def test_harmless(text: str, plain: str, coloured: str) -> None:
    assert harmless(text) == plain
    assert harmless(text, colours=True) == coloured
