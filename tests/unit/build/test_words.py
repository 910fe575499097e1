"""Variables, quotes and escapes as BuildKit's shell lexer has them (cases after its lex_test.go and envVarTest)."""

from __future__ import annotations

import pytest

from stackup.build.words import WordError, expand, expand_raw, expand_words, split_quoted

VARIABLES = {"PWD": "/home", "SHELL": "bash", "KOREAN": "한국어", "NULL": "", "V": "a.b.c.tar.gz"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("hello", "hello"), ("he'll'o", "hello"), ("he'll\\'o", "hell\\o"), ("he\\'llo", "he'llo"),
        ('he"llo"', "hello"), ('he"ll\\"o"', 'hell"o'), ("'$PWD'", "$PWD"), ('"$PWD"', "/home"), ("\\$PWD", "$PWD"),
        ("$PWD", "/home"), ("$PWDx", ""), ("${PWD}x", "/homex"), ("$XXX", ""), ("he${XXX}llo", "hello"),
        ("${XXX:-def}", "def"), ("${NULL:-def}", "def"), ("${NULL-def}", ""), ("${XXX-def}", "def"),
        ("${PWD:-def}", "/home"), ("${XXX:-$PWD}", "/home"), ("${XXX:-${PWD:-y}}", "/home"), ("${XXX:-'a b'}", "a b"),
        ("${PWD:+alt}", "alt"), ("${NULL:+alt}", ""), ("${NULL+alt}", "alt"), ("${XXX+alt}", ""),
        ("${V#a.}", "b.c.tar.gz"), ("${V#*.}", "b.c.tar.gz"), ("${V##*.}", "gz"), ("${V%.*}", "a.b.c.tar"),
        ("${V%%.*}", "a"), ("${V/./-}", "a-b.c.tar.gz"), ("${V//./-}", "a-b-c-tar-gz"), ("$KOREAN", "한국어"),
        ("${PWD:?no}", "/home"), ("$", "$"), ("a$", "a$"), ("$1", ""), ("\\\\", "\\"), ('"\\n"', "\\n"), ("", ""),
    ],
)  # fmt: skip
def test_expand(word: str, expected: str) -> None:
    assert expand(word, VARIABLES) == expected


@pytest.mark.parametrize(
    ("word", "value", "expected"),
    [
        ("${V#*}", "xxyy", "xxyy"), ("${V##*}", "xxyy", ""), ("${V#*x*y}", "xxyy", "y"), ("${V##*x}", "xxyy", "yy"),
        ("${V#}", "xxyy", "xxyy"), ("${V%}", "xxyy", "xxyy"), ("${V%x}", "xxyy", "xxyy"), ("${V#$X}", "xxyy", "xyy"),
        (r"${V#?\?}", "???y", "?y"), (r"${V%%\**}", "xx**", "xx"), (r"${V%%\**\*}", "a***yy*", "a"),
        ("${V#[ab]}", "abc", "abc"), ("${V#[ab]}", "[ab]c", "c"), (r"${V#()[]{\}^$.\*\?|\\}", r"()[]{}^$.*?|\x", "x"),
        ("${V/$N/.} ${V//$N/.}", "/foo*/*/*.txt", "/foo.*/*.txt /foo..*.txt"), ("${V/x/}", "xxyy", "xyy"),
        ("${V//x/}", "xxyy", "yy"), (r"${V//\//\/}", "/tmp/a", r"\/tmp\/a"), ("${V/$E/ww}", "xxyy", "wwxxyy"),
        ("${V///}", "xxyy", "xxyy"), ("${V/?/-}", "a\nb", "-\nb"), ("${V/*b/-}", "a\nbc", "-c"),
    ],
)  # fmt: skip
def test_patterns(word: str, value: str, expected: str) -> None:
    assert expand(word, {"V": value, "X": "x", "E": "", "N": "\\*/"}) == expected


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("'abc", "single-quote"), ('"abc', "double-quote"), ("${", "bad substitution"), ("${}", "bad substitution"),
        ("${XXX:?is missing}", "XXX: is missing"), ("${NULL:?}", "not allowed to be empty"), ("${PWD", "modifier"),
        ("${PWD:=x}", "modifier"), ("${PWD=x}", "modifier"), ("${PWD//x}", "missing '/'"), ("${PWD//}", "missing '/'"),
        (r"${PWD#\x}", "invalid escape"), ("${XXX:?no $PWD}", "no /home"), ("${XXX:-a", "missing '}'"),
    ],
)  # fmt: skip
def test_errors(word: str, reason: str) -> None:
    with pytest.raises(WordError, match=reason):
        expand(word, VARIABLES)


def test_another_escape_character() -> None:
    assert expand("C:\\dir`$PWD", VARIABLES, "`") == "C:\\dir$PWD"


def test_words_split_after_expansion() -> None:
    variables = {"LIST": "1 2", "EMPTY": ""}
    assert expand_words("a $LIST 'b c' \"$LIST\" $EMPTY ''", variables) == ["a", "1", "2", "b c", "1 2", ""]


def test_quotes_stay_in_raw_text() -> None:
    assert expand_raw("say \"$PWD\" '$SHELL' \\$PWD \\n", VARIABLES) == "say \"/home\" 'bash' $PWD n"


def test_splitting_keeps_quotes() -> None:
    assert split_quoted("a=1 b='x y' c=\"d e\" f=g\\ h") == ["a=1", "b='x y'", 'c="d e"', "f=g\\ h"]
