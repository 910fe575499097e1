"""Interpolation in all its forms."""

from __future__ import annotations

import time

import pytest

from stackup.stackfile.template import Asked, TemplateError, Use, mentioned, substitute, uses

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
    asked: list[Asked] = []
    assert substitute("a$NO ${NOR}", VALUES.get, asked.append) == "a "
    assert [(item.name, item.offset, item.outcome) for item in asked] == [("NO", 1, "unset"), ("NOR", 5, "unset")]


def test_each_look_up_is_recorded_as_it_happened() -> None:
    asked: list[Asked] = []
    assert (
        substitute("$$FOO ${NO:-d} ${NO} ${FOO:+${BAR-x}} ${FOO:-$NEVER}", VALUES.get, asked.append) == "$FOO d   first"
    )
    assert [(item.name, item.operator, item.outcome) for item in asked] == [
        ("NO", ":-", "default"),
        ("NO", "", "unset"),
        ("FOO", ":+", "alternative"),
        ("BAR", "-", "value"),
        ("FOO", ":-", "value"),
    ]


def test_what_several_texts_say_of_one_variable_is_put_together() -> None:
    assert mentioned(["${TAG:?need}", "${TAG:+yes} ${TAG:-x}"]) == {
        "TAG": Use("TAG", default="x", alternative="yes", required=True)
    }


def test_braces_are_paired_once_however_deep() -> None:
    text = "${A:-" * 300_000 + "x" + "}" * 300_000
    before = time.process_time()
    with pytest.raises(TemplateError):
        substitute(text, VALUES.get)
    assert substitute(text, lambda name: "a") == "a"
    assert time.process_time() - before < 2


def test_uses_lists_what_is_mentioned() -> None:
    assert uses("$A ${B:-x$C} ${D?no}") == [Use("A"), Use("B", default="x$C"), Use("C"), Use("D", required=True)]


def test_deep_nesting_ends() -> None:
    with pytest.raises(TemplateError):
        substitute("${A:-" * 200 + "}" * 200, VALUES.get)
