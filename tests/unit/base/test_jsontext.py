"""JSON from elsewhere: one kind of error for whatever is wrong with it."""

from __future__ import annotations

import pytest

from stackup.base.jsontext import DEEPEST, parse_json


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b"[" * (DEEPEST + 2) + b"]" * (DEEPEST + 2), "nested too deeply"),
        (b'"\xff"', "not UTF-8"),
        (b'{"name": "\\ud800"}', "half a character"),
        ('["\\udc80"]', "half a character"),
        (b"[NaN]", "NaN is no number"),
        (b"[" + b"9" * 5000 + b"]", "digits"),
    ],
    ids=[
        "nothing", "half", "lists", "objects", "a little too deep", "bytes", "a half", "a half in a text", "no number",
        "a long number",
    ],
)  # fmt: skip
def test_what_is_refused(data: bytes | str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": [1, "\\u00e9", "\\ud83d\\ude00"]}', {"a": [1, "é", "😀"]}),
        ("[]", []),
        (b"null", None),
        (b"\xef\xbb\xbf1", 1),
    ],
    ids=["object", "text", "null", "with a mark"],
)
def test_what_is_read(data: bytes | str, value: object) -> None:
    assert parse_json(data) == value


def test_as_deep_as_may_be() -> None:
    document = parse_json(b"[" * DEEPEST + b"]" * DEEPEST)
    for _ in range(DEEPEST - 1):
        (document,) = document
    assert document == []
