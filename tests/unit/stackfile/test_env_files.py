"""``.env`` and ``env_file`` in a load: all mistakes with their places, and warnings of variables that are not set."""

from __future__ import annotations

from pathlib import Path

from stackfile_support import errors_of, load_text, said, write

TEXT = "services: {a: {image: x, env_file: a.env}}\n"


def test_every_mistake_of_every_file(tmp_path: Path) -> None:
    write(tmp_path, a__env="X=${\n=v\n  y z=1\n")
    found = errors_of(tmp_path, TEXT.replace("{a:", "{b: {imag: x}, a:"))
    places = [(Path(error.where.file).name, error.where.line, error.where.column) for error in found if error.where]
    assert places == [("compose.yaml", 1, 16), ("a.env", 0, 1), ("a.env", 1, 3), ("a.env", 3, 3)]


def test_mistakes_of_dotenv_come_first(tmp_path: Path) -> None:
    """The stack's own follow; nothing is said of variables, which .env may have been meant to set."""
    write(tmp_path, __env="A=1\nb c=2\nD='x\n")
    text = "services:\n  a: {imag: x, image: '${D}', ports: ['${D:?give me}:80', 'x'], depends_on: [b]}\n"
    found = errors_of(tmp_path, text + "  b: {image: b, profiles: [p]}\n")
    assert [said(error).replace(f"{tmp_path}/", "") for error in found[:2]] == [
        "2:1 cannot read the env file .env: the name 'b c' holds a space (a line is NAME=value, NAME alone (taken from"
        " the environment), or a # comment)",
        "3:3 cannot read the env file .env: the quote ' is never closed",
    ]
    assert found[1].snippet == "D='x\n  ^"
    assert [error.message.partition(":")[0] for error in found[2:]] == [
        "cannot use services.a.imag",
        "cannot use 'x' for services.a.ports[1]",
    ]


def test_variables_that_are_not_set(tmp_path: Path) -> None:
    write(tmp_path, __env="A=1\nB=${NO}x\n", a__env='C=$A$NEIN\nD="\\t${NO}"\n')
    loaded = load_text(tmp_path, TEXT)
    shown = [
        (Path(item.where.file).name, item.where.line, item.where.column, item.message)
        for item in loaded.warnings
        if item.where
    ]
    assert shown == [
        (".env", 2, 3, "the variable NO is not set and becomes an empty text"),
        ("a.env", 1, 5, "the variable NEIN is not set and becomes an empty text"),
        ("a.env", 2, 6, "the variable NO is not set and becomes an empty text"),
    ]
    assert loaded.warnings[0].snippet == "B=${NO}x\n  ^^^^^"
    assert "default: ${NO:-...}" in loaded.warnings[0].hint
    assert loaded.stack.services["a"].environment == {"C": "1", "D": "\t"}


def test_bytes_that_are_no_text_have_their_place(tmp_path: Path) -> None:
    for name, content, place in (
        ("a.env", b"A=1\n\xc3\xa4=\x00", (2, 3)),
        ("a.env", b"A=1\r\n\xc3\xa4=\xff", (2, 3)),
        (".env", b"A=\x00", (1, 3)),
        (".env", b"\xff", (1, 1)),
    ):
        write(tmp_path, a__env="", __env="")
        (tmp_path / name).write_bytes(content)
        (error,) = errors_of(tmp_path, TEXT)
        assert error.where is not None
        assert (Path(error.where.file).name, error.where.line, error.where.column) == (name, *place)
