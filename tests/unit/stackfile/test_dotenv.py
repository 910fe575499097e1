"""env files: quotes, comments, export, inheritance, raw."""

from __future__ import annotations

import pytest

from stackup.stackfile.dotenv import Mistake, parse, parse_raw

ENVIRONMENT = {"HOSTED": "here"}


def wrong(mistake: Mistake) -> None:
    raise AssertionError(mistake)


def values(text: str) -> dict[str, str | None]:
    return parse(text, ENVIRONMENT.get, wrong)


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
    assert values(text)["A"] == value


def test_names_alone_are_inherited() -> None:
    assert values("HOSTED\nNO\nA=1") == {"HOSTED": "here", "NO": None, "A": "1"}


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("A=1\nBAD NAME=x", [(2, 1)]),
        ("A='x", [(1, 3)]),
        ('\n\nA="x', [(3, 3)]),
        ("lol$wut", [(1, 4)]),
        ("A=${x", [(1, 3)]),
        ("A=ab ${x", [(1, 6)]),
        ('A=\'x\' # c\nB="two\n \\" $$ ${x"', [(3, 8)]),
        ('A="\\n\\0101 \\$x ${"', [(1, 16)]),
        ("a b=1\nC=2\n  d e=1\r\nf(=1\nG=${\nh i", [(1, 1), (3, 3), (4, 2), (5, 3), (6, 1)]),
        ("A='x\nB=1\nb c=1", [(1, 3), (3, 1)]),
    ],
)
def test_all_mistakes_have_places(text: str, places: list[tuple[int, int]]) -> None:
    found: list[Mistake] = []
    parse(text, ENVIRONMENT.get, found.append)
    assert [(mistake.line, mistake.column) for mistake in found] == places


def test_what_is_right_is_read_beside_mistakes() -> None:
    assert parse("A=1\nb c=2\nD=3\nE='\nF=4", ENVIRONMENT.get, lambda mistake: None) == {"A": "1", "D": "3", "F": "4"}


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("A=$NO", [("NO", 1, 3)]),
        ("\nA=x${HOSTED}${NO}$NO", [("NO", 2, 13)]),
        ('A="\\t\n${NO} $Y"', [("NO", 2, 1), ("Y", 2, 7)]),
        ("A='$NO'", []),
        ("A=${NO:-x}${NO-y}${NO+z}", []),
        ("B=1\nA=$B", []),
    ],
)
def test_variables_without_a_value(text: str, places: list[tuple[str, int, int]]) -> None:
    found: list[tuple[str, int, int]] = []
    parse(text, ENVIRONMENT.get, wrong, lambda *place: found.append(place))
    assert found == places


def test_mistakes_of_raw_files() -> None:
    found: list[Mistake] = []
    assert parse_raw("A=1\n  b c=2\n=3\n", ENVIRONMENT.get, found.append) == {"A": "1"}
    assert [(mistake.line, mistake.column) for mistake in found] == [(2, 3), (3, 1)]


def test_raw_takes_everything_after_the_sign() -> None:
    assert parse_raw("# c\nA='b' # $x\nHOSTED\n", ENVIRONMENT.get, wrong) == {"A": "'b' # $x", "HOSTED": "here"}


def test_a_value_may_lack_a_name() -> None:
    assert values('="v"\nA=1') == {"": "v", "A": "1"}
