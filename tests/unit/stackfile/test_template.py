"""Interpolation in all its forms."""

from __future__ import annotations

import pytest

from stackup.stackfile.template import TemplateError, Use, substitute, uses

VALUES = {"FOO": "first", "BAR": "", "JSON": '{"a":1}'}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("$FOO", "first"),
        ("${FOO}", "first"),
        ("$FOO-bar", "first-bar"),
        ("$$FOO", "$FOO"),
        ("$${FOO}", "${FOO}"),
        ("${NO:-d}", "d"),
        ("${NO-d}", "d"),
        ("${BAR:-d}", "d"),
        ("${BAR-d}", ""),
        ("${FOO:-d}", "first"),
        ("${FOO:+alt}", "alt"),
        ("${BAR:+alt}", ""),
        ("${BAR+alt}", "alt"),
        ("${NO+alt}", ""),
        ("${FOO:?err}", "first"),
        ("${BAR?err}", ""),
        ("${NO:-${BAR:-${FOO}}}", "first"),
        ("${NO:-a ${FOO} b}", "a first b"),
        ("${NO:-/non:-alphanumeric}", "/non:-alphanumeric"),
        ('${JSON:-{"x":1}}', '{"a":1}'),
        ('${NO:-{"x":1}}', '{"x":1}'),
        ("${NO-my?msg}", "my?msg"),
        ("a $ b", "a $ b"),
        ("$(date) $1 $!", "$(date) $1 $!"),
        ("${FOO:-${NO?unused}}", "first"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert substitute(text, VALUES.get) == value


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("a ${}", 2, "'${}' names no variable"),
        ("${ FOO}", 0, "'${ FOO}' names no variable"),
        ("${FOO!}", 5, "'!' may not follow the name in '${FOO!}'"),
        ("ab ${FOO", 3, "'${' has no closing '}'"),
        ("x${NO:?need it}", 1, "the required variable NO is not set: need it"),
        ("${BAR:?}", 0, "the required variable BAR is empty"),
        ("${NO:-${NO2?inner $FOO}}", 6, "the required variable NO2 is not set: inner first"),
    ],
)
def test_errors_say_where(text: str, offset: int, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        substitute(text, VALUES.get)
    assert (str(caught.value), caught.value.offset) == (message, offset)


def test_unset_variables_are_reported() -> None:
    missing: list[tuple[str, int]] = []
    assert substitute("a$NO ${NOR}", VALUES.get, lambda name, offset: missing.append((name, offset))) == "a "
    assert missing == [("NO", 1), ("NOR", 5)]


def test_uses_lists_what_is_mentioned() -> None:
    assert uses("$A ${B:-x$C} ${D?no}") == [Use("A"), Use("B", default="x$C"), Use("C"), Use("D", required=True)]


def test_deep_nesting_ends() -> None:
    with pytest.raises(TemplateError):
        substitute("${A:-" * 200 + "}" * 200, VALUES.get)
