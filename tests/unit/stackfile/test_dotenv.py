"""env files: quotes, comments, export, inheritance, raw."""

from __future__ import annotations

import pytest

from stackup.stackfile.dotenv import DotenvError, parse, parse_raw

ENVIRONMENT = {"HOSTED": "here"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("A = b ", "b"),
        ("A: b", "b"),
        ("export A=b", "b"),
        ("export\tA=b", "b"),
        ("A=b # comment", "b"),
        ("A=b#c", "b#c"),
        ("A='b # c'", "b # c"),
        ('A="b # c" # d', "b # c"),
        ('A="b\\nc"', "b\nc"),
        ("A='b\\nc'", "b\\nc"),
        ('A="b\\"c"', 'b"c'),
        ("A='it\\'s'", "it's"),
        ('A="two\nlines"', "two\nlines"),
        ("A=", ""),
        ("A=1:B=2", "1:B=2"),
        ("A=$HOSTED", "here"),
        ("A=${NO:-d}", "d"),
        ("A='$HOSTED'", "$HOSTED"),
        ('A="\\$HOSTED"', "$HOSTED"),
        ("A=$$x", "$x"),
        ('A="\\0101"', "A"),
        ("B=1\nA=${B}2", "12"),
        ("# x\n\n  A=b", "b"),
        ("A=b\r\nC=d", "b"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert parse(text, ENVIRONMENT.get)["A"] == value


def test_names_alone_are_inherited() -> None:
    assert parse("HOSTED\nNO\nA=1", ENVIRONMENT.get) == {"HOSTED": "here", "NO": None, "A": "1"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("A=1\nBAD NAME=x", (2, 1)),
        ("A='x", (1, 3)),
        ('\n\nA="x', (3, 3)),
        ("lol$wut", (1, 4)),
        ("A=${x", (1, 3)),
    ],
)
def test_mistakes_have_places(text: str, place: tuple[int, int]) -> None:
    with pytest.raises(DotenvError) as caught:
        parse(text, ENVIRONMENT.get)
    assert (caught.value.line, caught.value.column) == place


def test_raw_takes_everything_after_the_sign() -> None:
    assert parse_raw("# c\nA='b' # $x\nHOSTED\n", ENVIRONMENT.get) == {"A": "'b' # $x", "HOSTED": "here"}


def test_a_value_may_lack_a_name() -> None:
    assert parse('="v"\nA=1', ENVIRONMENT.get) == {"": "v", "A": "1"}
