"""Reading Dockerfiles: lines, continuations, directives, flags, heredocs, places of errors."""

from __future__ import annotations

import pytest

from stackup.base.errors import StackFileError
from stackup.build.dockerfile import Instruction, parse_dockerfile


def parse(text: str) -> tuple[Instruction, ...]:
    return parse_dockerfile(text, "Dockerfile").instructions


def test_keywords_in_any_case_and_white_space() -> None:
    (first, second) = parse("  from  host\n\trun\techo  hi  \n")
    assert (first.keyword, first.rest) == ("FROM", "host")
    assert (second.keyword, second.rest) == ("RUN", "echo  hi")


def test_continued_lines_keep_their_place_and_lose_comments() -> None:
    (_, run, cmd) = parse("FROM host\n\n# note\nRUN a \\\n  # not part of it\n  b \\  \n\n  && c\nCMD x\n")
    assert run.rest == "a   b   && c"
    assert (run.position.line, run.end_line) == (4, 8)
    assert cmd.position.line == 9


def test_an_empty_continuation_line_is_warned_about() -> None:
    assert parse_dockerfile("FROM host\nRUN a \\\n\n b\n", "D").empty_lines == (3,)


def test_an_escaped_escape_does_not_continue() -> None:
    (_, run, other) = parse("FROM host\nRUN echo \\\\\nCMD x\n")
    assert run.rest == "echo \\\\"
    assert other.keyword == "CMD"


def test_escape_directive() -> None:
    (_, copy, run) = parse("# escape=`\nFROM host\nCOPY a C:\\\\\nRUN x `\n y\n")
    assert copy.rest == "a C:\\\\"
    assert run.rest == "x  y"


def test_a_directive_after_a_comment_is_a_comment() -> None:
    found = parse_dockerfile("# comment\n# escape=`\nFROM host\n", "D")
    assert found.escape == "\\"


def test_syntax_directive_and_byte_order_mark() -> None:
    assert parse("\ufeff# syntax=docker/dockerfile:1\nFROM host\n")[0].position.line == 2


def test_windows_line_ends() -> None:
    assert parse("FROM host\r\nRUN a \\\r\n b\r\n")[1].rest == "a  b"


def test_carriage_returns_belong_to_a_heredoc() -> None:
    item = parse("FROM host\r\nCOPY <<E /x\r\none\r\n\ttwo\r\nE\r\nUSER a\r\n")
    assert item[1].heredocs[0].content == "one\r\n\ttwo\r\n"
    assert item[2].rest == "a"


@pytest.mark.parametrize("char", "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
def test_only_a_newline_ends_a_line(char: str) -> None:
    (_, run, copy, user) = parse(f'FROM host\nRUN printf "a{char}b"\nCOPY <<E /x\none{char}two\nE\nUSER a\n')
    assert run.rest == f'printf "a{char}b"'
    assert copy.heredocs[0].content == f"one{char}two\n"
    assert user.position.line == 6


@pytest.mark.parametrize(
    ("line", "pieces"),
    [
        ('ARG Q="C:\\" R="x y"', ('Q="C:\\"', 'R="x y"')), ("COPY --chmod=600 f\\ /d\\", ("f\\", "/d\\")),
        ("COPY a` b /d", ("a` b", "/d")), ("ENV A=b` c", ("A=b` c",)),
    ],
)  # fmt: skip
def test_words_are_split_by_the_escape_of_the_file(line: str, pieces: tuple[str, ...]) -> None:
    assert parse(f"# escape=`\nFROM host\n{line}\n")[1].pieces == pieces


@pytest.mark.parametrize(
    ("line", "json"),
    [
        ('CMD ["a", "b c"]', ("a", "b c")), ("CMD []", ()), ("CMD ['a']", None), ('CMD ["a", 1]', None),
        ('CMD ["a"', None), ("CMD a b", None), ('RUN [ "x" ]', ("x",)), ('VOLUME ["/a", "/b"]', ("/a", "/b")),
        ('ENV ["a"]=b', None),
    ],
)  # fmt: skip
def test_json_forms(line: str, json: tuple[str, ...] | None) -> None:
    assert parse(f"FROM host\n{line}\n")[1].json == json


def test_flags() -> None:
    item = parse("FROM host\nCOPY --from=build --chown=a:b --link src dst\n")[1]
    assert (item.flag("from"), item.flag("chown"), item.flag("link"), item.flag("chmod")) == (
        "build",
        "a:b",
        "true",
        "",
    )
    assert item.words == ["src", "dst"]


def test_flags_end_at_the_first_other_word() -> None:
    assert parse("FROM host\nRUN echo --from=x\n")[1].flags == ()
    assert parse("FROM host\nRUN --network=none -- --version\n")[1].rest == "--version"


def test_heredocs() -> None:
    text = "FROM host\nRUN <<EOF\necho $A\n# kept\nEOF\nCOPY <<'one' <<-two /d/\nx\none\n\ty\n\ttwo\n"
    text += "RUN cat <<A | sh\nls\nA\n"
    (_, script, copy, piped) = parse(text)
    assert script.heredocs[0].content == "echo $A\n# kept\n"
    assert script.heredocs[0].expand
    assert [(item.name, item.content, item.expand) for item in copy.heredocs] == [
        ("one", "x\n", False),
        ("two", "y\n", True),
    ]
    assert piped.rest == "cat <<A | sh"
    assert piped.heredocs[0].content == "ls\n"


@pytest.mark.parametrize(
    ("word", "ending", "expand"),
    [
        ("<<eo'f'", "eof", False), (r"<<eo\'f", "eo'f", True), (r"<<'e'o\'f", "eo'f", False), ('<<EO"F"', "EOF", False),
        ("<<'one two'", "one two", False), ("<<$EOF", "$EOF", True), ("3<<E", "E", True),
        ("<<file.txt", "file.txt", True),
    ],
)  # fmt: skip
def test_names_of_heredocs(word: str, ending: str, expand: bool) -> None:
    (heredoc,) = parse(f"FROM host\nRUN {word}\n# x\n{ending}\nUSER a\n")[1].heredocs
    assert (heredoc.name, heredoc.content, heredoc.expand) == (ending, "# x\n", expand)


@pytest.mark.parametrize("word", ["<<'EOF", '<<"EOF', "<<EOF'"])
def test_an_open_quote_in_the_name_of_a_heredoc(word: str) -> None:
    with pytest.raises(StackFileError, match="quote"):
        parse(f"FROM host\nRUN {word}\nx\nEOF\n")


def test_no_heredocs_elsewhere() -> None:
    for line in ("USER <<A", "ENV A=<<B", 'RUN ["<<EOF"]', "RUN '<<EOF'", "RUN <<", "RUN <EOF"):
        assert parse(f"FROM host\n{line}\n")[1].heredocs == ()


def test_two_heredocs_that_name_each_other() -> None:
    item = parse("FROM host\nCOPY <<X <<Y /d/\nY\nX\nX\nY\n")[1]
    assert [heredoc.content for heredoc in item.heredocs] == ["Y\n", "X\n"]


@pytest.mark.parametrize(
    ("text", "escape"),
    [
        ("#EScape=`\nFROM host\n", "`"), ("# syntax=x\n# escape = `\nFROM host\n", "`"),
        ("# key=x\n# escape=`\nFROM host\n", "\\"), ("\n# escape=`\nFROM host\n", "\\"),
        ("FROM host\n# escape=`\n", "\\"),
    ],
)  # fmt: skip
def test_directives(text: str, escape: str) -> None:
    assert parse_dockerfile(text, "D").escape == escape


def test_comments_and_indented_comments_inside_a_continuation() -> None:
    item = parse("FROM host\nRUN a \\\n# one\n   # two\n  && b \\\n#three\n\nUSER x\n")
    assert item[1].rest.split() == ["a", "&&", "b", "USER", "x"]


def test_what_is_not_a_heredoc() -> None:
    assert parse("FROM host\nRUN cat <<<word && echo $((1 << 2))\n")[1].heredocs == ()


@pytest.mark.parametrize(
    ("text", "line", "reason", "hint"),
    [
        ("FROM host\nEXPSE 80\n", 2, "unknown instruction EXPSE", "EXPOSE"),
        ("FROM host\n\nCOPY --form=x a b\n", 3, "no flag --form", "--from"),
        ("FROM host\nRUN <<EOF\nx\n", 2, "heredoc EOF is not ended", ""),
        ("FROM host\nWORKDIR\n", 2, "needs arguments", ""),
        ("# escape=x\nFROM host\n", 1, "escape directive", ""),
    ],
)
def test_problems_have_a_place(text: str, line: int, reason: str, hint: str) -> None:
    with pytest.raises(StackFileError, match=reason) as caught:
        parse(text)
    assert caught.value.where and caught.value.where.line == line
    assert hint in caught.value.hint


def test_all_problems_at_once() -> None:
    with pytest.raises(StackFileError) as caught:
        parse("FROM host\nFOO\nCOPY --form=a --chwn=b x y\nWORKDIR\nRUN <<EOF\nx\n")
    errors = [caught.value, *caught.value.details]
    assert [(error.where.line, error.where.column) for error in errors if error.where] == [
        (2, 1), (3, 6), (3, 15), (4, 1), (5, 5)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "snippet"),
    [
        ("FROM host\n  EXPSE 80\n", "  EXPSE 80\n  ^^^^^"),
        ("FROM host\nRUN \\\n  --mont=x \\\n y\n", "  --mont=x \\\n  ^^^^^^"),
        ("FROM host\n\tCOPY --form=x a b\n", "\tCOPY --form=x a b\n\t     ^^^^^^"),
        ("FROM host\nRUN cat <<'A' > b\n", "RUN cat <<'A' > b\n        ^^^^^"),
    ],
)
def test_problems_show_their_line_with_a_caret(text: str, snippet: str) -> None:
    with pytest.raises(StackFileError) as caught:
        parse(text)
    assert caught.value.snippet == snippet


def test_nothing() -> None:
    with pytest.raises(StackFileError, match="holds no instructions"):
        parse("# only a comment\n")
